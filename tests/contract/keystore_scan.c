/* Reading a table: order, paging, early stop, visitors that change the store, and the load of everything. */
#include <pthread.h>
#include <stdio.h>

#include "tests/contract/keystore_contract.h"

enum { ROWS = 150 }; /* more than two pages of the front */

static void fill(kms_keystore *store, enum kms_table table)
{
    static char ids[ROWS][8];
    struct kms_change changes[ROWS];
    struct kms_store_mark mark;
    struct kms_id request;
    for (unsigned i = 0; i < ROWS; i++) { /* written in another order than read */
        snprintf(ids[i], sizeof ids[i], "k%03u", i * 7 % ROWS);
        changes[i] = (struct kms_change){.table = table, .id = ids[i], .body = kms_bytes_text(ids[i])};
    }
    KMS_ASSERT_OK(kms_id_new(&request));
    KMS_ASSERT_OK_FATAL(kms_keystore_apply(store, &request, changes, ROWS, &mark, NULL));
}

struct seen {
    kms_keystore *store;
    size_t count, stop_at;
    char first[KMS_ROW_ID_BYTES], last[KMS_ROW_ID_BYTES];
    enum kms_table last_table;
    bool out_of_order, wrong_body;
};

static kms_err note(void *user, const struct kms_row *row)
{
    struct seen *s = user;
    if (s->count == 0) snprintf(s->first, sizeof s->first, "%s", row->id);
    bool same_table = s->count > 0 && row->table == s->last_table;
    if (same_table && strcmp(row->id, s->last) <= 0) s->out_of_order = true;
    if (s->count > 0 && row->table < s->last_table) s->out_of_order = true;
    if (!kms_bytes_equal(row->body, kms_bytes_text(row->id)) || row->revision != 1) s->wrong_body = true;
    snprintf(s->last, sizeof s->last, "%s", row->id);
    s->last_table = row->table;
    s->count++;
    return s->stop_at > 0 && s->count == s->stop_at ? KMS_FAIL(DEADLINE_EXCEEDED) : KMS_OK;
}

static void a_scan_sees_each_row_once_in_order(void)
{
    static const struct {
        const char *after;
        size_t count;
        const char *first, *last;
    } cases[] = {
        {"", ROWS, "k000", "k149"},
        {"k100", 49, "k101", "k149"},
        {"k1", 50, "k100", "k149"},
        {"k149", 0, "", ""},
    };
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    fill(store, KMS_TABLE_KEY_VERSION);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "k000", 0, "another table"));
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct seen s = {0};
        KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_KEY_VERSION, cases[i].after, note, &s, NULL));
        CU_ASSERT_EQUAL(s.count, cases[i].count);
        CU_ASSERT_STRING_EQUAL(s.first, cases[i].first);
        CU_ASSERT_STRING_EQUAL(s.last, cases[i].last);
        CU_ASSERT_FALSE(s.out_of_order || s.wrong_body);
    }
    struct seen none = {0};
    KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_ALIAS, "", note, &none, NULL));
    CU_ASSERT_EQUAL(none.count, 0);
    KMS_ASSERT_CODE(kms_keystore_scan(store, KMS_TABLE_COUNT, "", note, &none, NULL), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_keystore_scan(store, (enum kms_table)1000, "a", note, &none, NULL), INVALID_ARGUMENT);
}

static void ids_are_ordered_byte_by_byte(void)
{
    static const char *const ids[] = {"A", "B", "a", "a/", "a0", "\xc3\xa4"};
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    for (size_t i = KMS_COUNT(ids); i-- > 0;) KMS_ASSERT_OK(put(store, KMS_TABLE_ALIAS, ids[i], 0, ids[i]));
    struct seen s = {0};
    KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_ALIAS, "", note, &s, NULL));
    CU_ASSERT_EQUAL(s.count, KMS_COUNT(ids));
    CU_ASSERT_FALSE(s.out_of_order || s.wrong_body);
}

static void a_visitor_may_stop_early(void)
{
    static const size_t stops[] = {1, 64, 65, ROWS};
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    fill(store, KMS_TABLE_KEY);
    for (size_t i = 0; i < KMS_COUNT(stops); i++) {
        struct seen s = {.stop_at = stops[i]};
        KMS_ASSERT_CODE(kms_keystore_scan(store, KMS_TABLE_KEY, "", note, &s, NULL), DEADLINE_EXCEEDED);
        CU_ASSERT_EQUAL(s.count, stops[i]);
    }
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "after", 0, "x")); /* nothing is left open */
}

static kms_err change_while_reading(void *user, const struct kms_row *row)
{
    struct seen *s = user;
    KMS_ASSERT_OK(erase(s->store, KMS_TABLE_KEY, row->id, row->revision));
    KMS_ASSERT_OK(put(s->store, KMS_TABLE_TOKEN, row->id, 0, row->id));
    CU_ASSERT_STRING_EQUAL(body_of(s->store, KMS_TABLE_TOKEN, row->id), row->id);
    return note(s, row);
}

static void a_visitor_may_change_the_store(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct seen s = {.store = store}, left = {0}, moved = {0};
    struct kms_store_mark mark;
    fill(store, KMS_TABLE_KEY);
    KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_KEY, "", change_while_reading, &s, NULL));
    CU_ASSERT_EQUAL(s.count, ROWS);
    CU_ASSERT_FALSE(s.out_of_order || s.wrong_body);
    KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_KEY, "", note, &left, NULL));
    KMS_ASSERT_OK(kms_keystore_scan(store, KMS_TABLE_TOKEN, "", note, &moved, NULL));
    CU_ASSERT_EQUAL(left.count, 0);
    CU_ASSERT_EQUAL(moved.count, ROWS);
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
}

static void a_load_hands_over_everything(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct kms_store_mark mark, latest;
    struct kms_id key = id_of(1);
    uint64_t granted;
    fill(store, KMS_TABLE_TOKEN);
    fill(store, KMS_TABLE_KEY);
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 5, 10, NULL}, &granted, NULL));
    struct seen s = {0};
    KMS_ASSERT_OK(kms_keystore_load(store, note, &s, &mark, NULL));
    CU_ASSERT_EQUAL(s.count, 2 * ROWS); /* neither requests nor budgets */
    CU_ASSERT_FALSE(s.out_of_order || s.wrong_body);
    CU_ASSERT_EQUAL(s.last_table, KMS_TABLE_TOKEN);
    kms_keystore_mark(store, &latest);
    CU_ASSERT(marks_equal(&mark, &latest));
    struct seen stopped = {.stop_at = 10};
    KMS_ASSERT_CODE(kms_keystore_load(store, note, &stopped, &mark, NULL), DEADLINE_EXCEEDED);
    CU_ASSERT_EQUAL(stopped.count, 10);
    KMS_ASSERT_OK(put(store, KMS_TABLE_KEY, "after", 0, "x"));
}

/* ---- all at once ---- */

enum { WRITERS = 3, CHANGES = 40 };

struct worker {
    pthread_t thread;
    kms_keystore *store;
    unsigned number, failures;
    uint64_t granted;
};

static void *write_and_read(void *user)
{
    struct worker *w = user;
    struct kms_id key = id_of(9);
    for (unsigned i = 0; i < CHANGES; i++) {
        char id[20];
        uint64_t granted = 0;
        struct seen s = {0};
        snprintf(id, sizeof id, "w%u-%03u", w->number, i);
        w->failures += kms_failed(put(w->store, KMS_TABLE_KEY, id, 0, id));
        w->failures += kms_failed(kms_keystore_reserve(
            w->store, &(struct kms_reservation){&key, 1, 3, 1000, NULL}, &granted, NULL));
        w->failures += kms_failed(kms_keystore_scan(w->store, KMS_TABLE_KEY, "", note, &s, NULL));
        w->failures += s.count <= i || s.out_of_order || s.wrong_body;
        w->granted += granted;
    }
    return NULL;
}

static void threads_take_turns(void)
{
    struct place place;
    KMS_OWN(kms_keystore) store = store_new(&place);
    struct worker workers[WRITERS];
    struct kms_store_mark mark;
    uint64_t granted = 0, rest = 0;
    struct kms_id key = id_of(9);
    for (unsigned i = 0; i < WRITERS; i++) {
        workers[i] = (struct worker){.store = store, .number = i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[i].thread, NULL, write_and_read, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(workers[i].thread, NULL);
        CU_ASSERT_EQUAL(workers[i].failures, 0);
        granted += workers[i].granted;
    }
    CU_ASSERT_EQUAL(granted, WRITERS * CHANGES * 3);
    KMS_ASSERT_OK(
        kms_keystore_reserve(store, &(struct kms_reservation){&key, 1, 1000, 1000, NULL}, &rest, NULL));
    CU_ASSERT_EQUAL(granted + rest, 1000);
    KMS_ASSERT_OK(kms_keystore_verify(store, &mark, NULL));
    CU_ASSERT_EQUAL(mark.revision, WRITERS * CHANGES);
}

CU_TestInfo scan_tests[] = {
    {"a scan sees each row once, in order", a_scan_sees_each_row_once_in_order},
    {"ids are ordered byte by byte", ids_are_ordered_byte_by_byte},
    {"a visitor may stop early", a_visitor_may_stop_early},
    {"a visitor may change the store", a_visitor_may_change_the_store},
    {"a load hands over everything", a_load_hands_over_everything},
    {"threads take turns", threads_take_turns},
    CU_TEST_INFO_NULL,
};
