/* What was acknowledged is there after kill -9, and budgets and request ids outlive the process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/contract/keystore_contract.h"

static void a_request_id_tells_what_committed(void)
{
    struct place place;
    kms_keystore *store = store_new(&place);
    struct kms_id done = id_of(1), never = id_of(2);
    const struct kms_change changes[] = {{KMS_TABLE_KEY, "a", 0, false, kms_bytes_text("x")},
                                         {KMS_TABLE_KEY, "b", 0, false, kms_bytes_text("x")}};
    struct kms_store_mark mark;
    struct kms_why why = {""};
    bool committed = false;
    KMS_ASSERT_OK(kms_keystore_apply(store, &done, &changes[0], 1, &mark, NULL));
    KMS_ASSERT_CODE(kms_keystore_apply(store, &done, &changes[1], 1, &mark, &why), ALREADY_EXISTS);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "applied already"));
    for (int round = 0; round < 2; round++) { /* before and after reopening */
        KMS_ASSERT_OK(kms_keystore_committed(store, &done, &committed, NULL));
        CU_ASSERT(committed);
        KMS_ASSERT_OK(kms_keystore_committed(store, &never, &committed, NULL));
        CU_ASSERT_FALSE(committed);
        kms_keystore_close(store);
        store = store_at(&place);
    }
    kms_keystore_close(store);
}

static void a_budget_is_counted_across_restarts(void)
{
    static const struct {
        uint32_t version;
        uint64_t want, budget, granted; /* granted 0: exhausted */
    } cases[] = {
        {1, 40, 100, 40}, {1, 40, 100, 40}, {2, 100, 100, 100}, {1, 40, 100, 20}, {1, 1, 100, 0},
        {2, 1, 100, 0},   {1, 1, 50, 0},    {1, 5, 101, 1},     {3, 1, 0, 0},     {0xffffffff, 7, 10, 7},
    };
    struct place place;
    kms_keystore *store = store_new(&place);
    struct kms_id key = id_of(1), other = id_of(2);
    struct kms_store_mark before, after;
    uint64_t granted;
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "a", 0, "x"));
    kms_keystore_mark(store, &before);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_why why = {""};
        granted = 0;
        kms_err err = kms_keystore_reserve(
            store, &(struct kms_reservation){&key, cases[i].version, cases[i].want, cases[i].budget, NULL},
            &granted, &why);
        enum kms_code want = cases[i].granted > 0 ? KMS_E_OK : KMS_E_KEY_BUDGET_EXHAUSTED;
        CU_ASSERT(kms_code_is(err, want, __FILE__, (int)i));
        CU_ASSERT_EQUAL(granted, cases[i].granted);
        CU_ASSERT_EQUAL(why.text[0] != '\0', kms_failed(err));
        kms_keystore_close(store);
        store = store_at(&place);
    }
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&other, 1, 100, 100, NULL}, &granted, NULL));
    KMS_ASSERT_CODE(
        kms_keystore_reserve(store, &(struct kms_reservation){&other, 1, 0, 100, NULL}, &granted, NULL),
        INVALID_ARGUMENT);
    KMS_ASSERT_OK(kms_keystore_verify(store, &after, NULL));
    CU_ASSERT(marks_equal(&before, &after)); /* the audit log's mark moves with apply alone */
    kms_keystore_close(store);
}

static void a_budget_goes_with_its_version(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_id key = id_of(1);
    char id[KMS_ID_TEXT + 9];
    struct kms_store_mark mark;
    uint64_t granted;
    kms_id_text(&key, id);
    snprintf(id + strlen(id), 10, "/%08x", 0x1au);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY_VERSION, id, 0, "wrapped"));
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 0x1a, 10, 10, NULL}, &granted, NULL));
    KMS_ASSERT_OK(erase(store, KMS_TABLE_KEY_VERSION, id, 1));
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 0x1a, 10, 10, NULL}, &granted, NULL));
    CU_ASSERT_EQUAL(granted, 10);
}

/* Two stores over one database, as two processes would: nothing is lost, nothing is done twice. */
static void two_processes_do_not_overwrite_each_other(void)
{
    struct place place;
    KMS_OWN(kms_keystore) one = store_new(&place);
    KMS_OWN(kms_keystore) two = store_at(&place);
    struct kms_store_mark mark, seen;
    struct kms_id key = id_of(1);
    uint64_t granted = 0;
    KMS_ASSERT_OK(put(one, KMS_TABLE_KEY, "a", 0, "by one"));
    KMS_ASSERT_OK(put(two, KMS_TABLE_KEY, "b", 0, "by two"));
    KMS_ASSERT_CODE(put(two, KMS_TABLE_KEY, "a", 0, "by two"), CONFLICT);
    KMS_ASSERT_OK(put(two, KMS_TABLE_KEY, "a", 1, "by two"));
    KMS_ASSERT_CODE(put(one, KMS_TABLE_KEY, "a", 1, "by one"), CONFLICT);
    KMS_ASSERT_OK(kms_keystore_reserve(one, &(struct kms_reservation){&key, 1, 6, 10, NULL}, &granted, NULL));
    KMS_ASSERT_OK(kms_keystore_reserve(two, &(struct kms_reservation){&key, 1, 6, 10, NULL}, &granted, NULL));
    CU_ASSERT_EQUAL(granted, 4);
    KMS_ASSERT_OK(kms_keystore_verify(one, &mark, NULL));
    kms_keystore_mark(two, &seen);
    CU_ASSERT_EQUAL(mark.revision, 3);
    CU_ASSERT(marks_equal(&mark, &seen));
}

/* ---- kill -9 ---- */

struct acknowledged {
    uint32_t number;
    struct kms_id request;
    uint64_t revision;
};

/* In the child: one change after the other, each reported once it is acknowledged. Never returns. */
static _Noreturn void change_until_killed(const struct place *place, int report, uint32_t from)
{
    kms_keystore *store = NULL;
    struct kms_id key = id_of(7);
    if (kms_failed(store_open(place, &store, NULL))) _exit(2);
    for (uint32_t i = from;; i++) {
        struct acknowledged a = {.number = i};
        struct kms_store_mark mark;
        uint64_t granted;
        char id[3][20];
        struct kms_change changes[3];
        for (unsigned j = 0; j < 3; j++) {
            snprintf(id[j], sizeof id[j], "%08u-%u", i, j);
            changes[j] =
                (struct kms_change){.table = KMS_TABLE_KEY, .id = id[j], .body = kms_bytes_text(id[j])};
        }
        if (kms_failed(kms_id_new(&a.request)) ||
            kms_failed(kms_keystore_apply(store, &a.request, changes, 3, &mark, NULL)) ||
            kms_failed(kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 1, UINT32_MAX, NULL},
                                            &granted, NULL)))
            _exit(3);
        a.revision = mark.revision;
        if (write(report, &a, sizeof a) != (ssize_t)sizeof a) _exit(4);
    }
}

static bool read_report(int fd, struct acknowledged *ret_report)
{
    ssize_t got;
    do got = read(fd, ret_report, sizeof *ret_report);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *ret_report;
}

/* All rows of an acknowledged change are there, under its request id. */
static void expect_there(kms_keystore *store, const struct acknowledged *a)
{
    bool committed = false;
    KMS_ASSERT_OK(kms_keystore_committed(store, &a->request, &committed, NULL));
    CU_ASSERT(committed);
    for (unsigned j = 0; j < 3; j++) {
        char id[20];
        snprintf(id, sizeof id, "%08u-%u", a->number, j);
        CU_ASSERT_STRING_EQUAL(body_of(store, KMS_TABLE_KEY, id), id);
    }
}

static kms_err count_row(void *user, const struct kms_row *row)
{
    (void)row;
    ++*(unsigned *)user;
    return KMS_OK;
}

enum { ROUNDS = 12, MOST = 400 };

/* Runs a child, kills it after some acknowledged changes and at some moment between them; returns all of its
 * reports. */
static size_t run_and_kill(const struct place *place, unsigned round, uint32_t from,
                           struct acknowledged *ret_reports)
{
    int ends[2];
    size_t count = 0;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        close(ends[0]);
        change_until_killed(place, ends[1], from);
    }
    close(ends[1]);
    while (count < 3 + round && read_report(ends[0], &ret_reports[count])) count++;
    usleep(round * 137); /* some moment inside the next change */
    kill(child, SIGKILL);
    while (count < MOST && read_report(ends[0], &ret_reports[count])) count++;
    close(ends[0]);
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return count;
}

static void what_was_acknowledged_survives_kill_9(void)
{
    static struct acknowledged reports[MOST];
    struct place place = place_new();
    struct kms_id key = id_of(7);
    size_t acknowledged = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = run_and_kill(&place, round, round * 1000, reports);
        struct kms_store_mark mark;
        unsigned rows = 0;
        uint64_t granted;
        CU_ASSERT(count >= 3 + round);
        acknowledged += count;
        KMS_OWN(kms_keystore) store = store_at(&place);
        KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
        for (size_t i = 0; i < count; i++) expect_there(store, &reports[i]);
        CU_ASSERT(mark.revision >= reports[count - 1].revision);
        /* all rows of a change or none: at most one change of each round was not reported */
        KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_KEY, "", count_row, &rows, NULL));
        CU_ASSERT_EQUAL(rows, 3 * mark.revision);
        CU_ASSERT(mark.revision <= acknowledged + round + 1);
        /* what was reserved stays reserved */
        KMS_ASSERT_CODE(kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 1, acknowledged, NULL},
                                             &granted, NULL),
                        KEY_BUDGET_EXHAUSTED);
    }
}

CU_TestInfo durable_tests[] = {
    {"a request id tells what committed", a_request_id_tells_what_committed},
    {"a budget is counted across restarts", a_budget_is_counted_across_restarts},
    {"a budget goes with its version", a_budget_goes_with_its_version},
    {"two processes do not overwrite each other", two_processes_do_not_overwrite_each_other},
    {"what was acknowledged survives kill -9", what_was_acknowledged_survives_kill_9},
    CU_TEST_INFO_NULL,
};
