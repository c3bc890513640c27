/* Append, commit, reopen: what is acknowledged is there, in one chain. */
#include "kmsd/audit/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kmsd/audit/log.h"

static void one_chain_over_restarts(void)
{
    char dir[128];
    log_dir(dir);
    uint64_t expected = 0;
    for (unsigned run = 0; run < 4; run++) {
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        expected++; /* the first record of the file */
        CU_ASSERT_TRUE(kms_audit_writable(audit));
        CU_ASSERT_EQUAL(log_head(audit), expected);
        log_calls(audit, 5);
        expected += 5;
        CU_ASSERT_EQUAL(log_head(audit), expected);
        kms_audit_close(audit);
        CU_ASSERT_EQUAL(log_good(dir), expected);
    }
    CU_ASSERT_EQUAL(log_files(dir), 4);
    CU_ASSERT_EQUAL(log_count(dir, "\"because\":\"new\""), 1);
    CU_ASSERT_EQUAL(log_count(dir, "\"because\":\"start\""), 3);
}

static void nothing_counts_before_commit(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    KMS_ASSERT_OK(kms_audit_commit(audit)); /* nothing to do */
    for (unsigned i = 0; i < 10; i++) log_call(audit, i);
    CU_ASSERT_EQUAL(log_head(audit), 1);
    CU_ASSERT_EQUAL(log_good(dir), 1);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    CU_ASSERT_EQUAL(log_head(audit), 11);
    CU_ASSERT_EQUAL(log_good(dir), 11);
    log_call(audit, 10); /* close commits */
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 12);
}

static void closed_files_have_no_nul(void)
{
    char dir[128], path[200];
    log_dir(dir);
    KMS_OWN_BUF live = {0}, closed = {0};
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 3);
    snprintf(path, sizeof path, "%s/t-00000001.jsonl", dir);
    KMS_ASSERT_OK(kms_read_file(path, 1 << 20, &live, NULL));
    kms_audit_close(audit);
    KMS_ASSERT_OK(kms_read_file(path, 1 << 20, &closed, NULL));
    CU_ASSERT_EQUAL(live.len, LOG_SEGMENT_BYTES);
    CU_ASSERT_TRUE(closed.len < live.len);
    CU_ASSERT_PTR_NULL(memchr(closed.data, 0, closed.len));
    CU_ASSERT_EQUAL(closed.data[closed.len - 1], '\n');
    CU_ASSERT_EQUAL(memcmp(live.data, closed.data, closed.len), 0);
}

/* Thousands of records over many small segments, in batches of all sizes. */
static void rotation(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    unsigned calls = 0;
    for (unsigned round = 0; round < 400; round++) {
        for (unsigned i = 0; i <= round % 23; i++) log_call(audit, calls++);
        KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
    }
    CU_ASSERT_TRUE(log_files(dir) > 20);
    uint64_t files = log_files(dir);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_count(dir, "\"kind\":\"call\""), calls);
    struct kms_audit_report report = {0};
    KMS_ASSERT_OK(log_verify(dir, &report, NULL));
    CU_ASSERT_EQUAL(report.records, calls + report.files);
    CU_ASSERT_TRUE(report.files == files || report.files == files - 1); /* one may have been prepared only */
    CU_ASSERT_EQUAL(report.first_sequence, 1);
    CU_ASSERT_EQUAL(report.last_sequence, report.records);
    CU_ASSERT_FALSE(report.torn_tail);
    CU_ASSERT_EQUAL(log_files(dir), report.files); /* what was prepared is removed */
}

/* A batch longer than a segment goes in parts; the longest records go too. */
static void batches_beyond_a_segment(void)
{
    static char value[40000];
    char dir[128];
    log_dir(dir);
    memset(value, '"', sizeof value);
    struct kms_audit_pair pair = {kms_bytes_text("v"), kms_bytes_of(value, sizeof value)};
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    for (unsigned i = 0; i < 20; i++) {
        struct kms_audit_event event = log_event(i);
        event.access[0].context = i % 2 == 0 ? &pair : event.access[0].context;
        KMS_ASSERT_OK(kms_audit_append(audit, &event));
        for (unsigned k = 0; k < 10; k++) log_call(audit, k);
    }
    KMS_ASSERT_OK(kms_audit_commit(audit));
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_count(dir, "\"kind\":\"call\""), 220);
    CU_ASSERT_EQUAL(log_count(dir, "\"shortened\":"), 10);
    log_good(dir);
}

static void append_attempt(kms_audit *audit, enum kms_audit_kind kind, uint8_t id, uint64_t revision)
{
    struct kms_audit_event event = {.kind = kind, .operation = "CreateKey"};
    event.request_id.bytes[0] = id;
    event.has_mark = revision != 0;
    event.store_revision = revision;
    memset(event.store_digest, (int)revision, sizeof event.store_digest);
    KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
}

static void expect_state(const kms_audit *audit, const char *ids, uint64_t revision)
{
    const struct kms_audit_open_attempt *open;
    uint64_t found = 0;
    uint8_t digest[KMS_DIGEST_BYTES] = {0};
    size_t count = kms_audit_open_attempts(audit, &open);
    CU_ASSERT_EQUAL(count, strlen(ids));
    for (size_t i = 0; i < count && i < strlen(ids); i++) {
        CU_ASSERT_EQUAL(open[i].request_id.bytes[0], (uint8_t)ids[i]);
        CU_ASSERT_STRING_EQUAL(open[i].operation, "CreateKey");
    }
    CU_ASSERT_EQUAL(kms_audit_last_mark(audit, &found, digest), revision != 0);
    CU_ASSERT_EQUAL(found, revision);
    CU_ASSERT_EQUAL(digest[31], (uint8_t)revision);
}

static void attempts_and_mark_survive(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    expect_state(audit, "", 0);
    append_attempt(audit, KMS_AUDIT_ATTEMPT, 'a', 0);
    append_attempt(audit, KMS_AUDIT_ATTEMPT, 'b', 0);
    append_attempt(audit, KMS_AUDIT_ATTEMPT, 'c', 0);
    append_attempt(audit, KMS_AUDIT_OUTCOME, 'b', 7);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    kms_audit_close(audit);
    audit = log_open(dir, LOG_SEGMENT_BYTES); /* from the records */
    expect_state(audit, "ac", 7);
    kms_audit_close(audit);
    audit = log_open(dir, LOG_SEGMENT_BYTES); /* from the first record of the file alone */
    expect_state(audit, "ac", 7);
    log_calls(audit, 300); /* more segments */
    append_attempt(audit, KMS_AUDIT_RECOVERY, 'a', 0);
    append_attempt(audit, KMS_AUDIT_SERVICE, 'x', 9); /* a mark in any record counts */
    KMS_ASSERT_OK(kms_audit_commit(audit));
    kms_audit_close(audit);
    audit = log_open(dir, LOG_SEGMENT_BYTES);
    expect_state(audit, "c", 9);
    kms_audit_close(audit);
    log_good(dir);
}

static void attempts_are_bounded(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    for (unsigned i = 0; i < KMS_AUDIT_OPEN_ATTEMPTS; i++)
        append_attempt(audit, KMS_AUDIT_ATTEMPT, (uint8_t)(i + 1), 0);
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_ATTEMPT, .operation = "CreateKey", .request_id = {{200}}};
    KMS_ASSERT_CODE(kms_audit_append(audit, &event), LIMIT_EXCEEDED);
    append_attempt(audit, KMS_AUDIT_OUTCOME, 1, 0);
    KMS_ASSERT_OK(kms_audit_append(audit, &event));
    KMS_ASSERT_OK(kms_audit_commit(audit));
    kms_audit_close(audit);
    const struct kms_audit_open_attempt *open;
    audit = log_open(dir, LOG_SEGMENT_BYTES);
    CU_ASSERT_EQUAL(kms_audit_open_attempts(audit, &open), KMS_AUDIT_OPEN_ATTEMPTS);
    kms_audit_close(audit);
}

/* Whatever stands in an attempt, the log can be opened again. */
static void odd_attempts_are_read_back(void)
{
    static char long_name[9000];
    char dir[128];
    log_dir(dir);
    memset(long_name, '\x01', sizeof long_name);
    struct kms_bytes odd = kms_bytes_of("nul\0\xff\"\n", 8),
                     longest = kms_bytes_of(long_name, sizeof long_name);
    struct kms_audit_event event = {.kind = KMS_AUDIT_ATTEMPT,
                                    .operation = "Odd\"\n\xff",
                                    .request_id = {{7}},
                                    .client = odd,
                                    .correlation_id = longest,
                                    .count = UINT64_MAX,
                                    .started_us = UINT64_MAX,
                                    .extra_count = KMS_AUDIT_EXTRAS};
    for (size_t i = 0; i < KMS_AUDIT_EXTRAS; i++)
        event.extra[i] = (struct kms_audit_pair){longest, odd}; /* one name often */
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    KMS_ASSERT_OK(kms_audit_append(audit, &event));
    event.has_mark = true;
    event.store_revision = (uint64_t)INT64_MAX + 1;
    KMS_ASSERT_CODE(kms_audit_append(audit, &event), INVALID_ARGUMENT);
    event.kind = KMS_AUDIT_CALL;
    event.store_revision = INT64_MAX;
    KMS_ASSERT_OK(kms_audit_append(audit, &event));
    event = (struct kms_audit_event){.kind = KMS_AUDIT_ATTEMPT, .operation = "CreateKey"};
    KMS_ASSERT_CODE(kms_audit_append(audit, &event), INVALID_ARGUMENT); /* no request id */
    KMS_ASSERT_OK(kms_audit_commit(audit));
    kms_audit_close(audit);
    const struct kms_audit_open_attempt *open;
    uint64_t revision = 0;
    uint8_t digest[KMS_DIGEST_BYTES];
    audit = log_open(dir, LOG_SEGMENT_BYTES);
    CU_ASSERT_EQUAL_FATAL(kms_audit_open_attempts(audit, &open), 1);
    CU_ASSERT_EQUAL(open[0].request_id.bytes[0], 7);
    CU_ASSERT_TRUE(kms_audit_last_mark(audit, &revision, digest));
    CU_ASSERT_EQUAL(revision, INT64_MAX);
    kms_audit_close(audit);
    log_good(dir);
}

static void options_are_checked(void)
{
    char dir[128];
    log_dir(dir);
    struct {
        const char *instance;
        uint64_t bytes;
        enum kms_code code;
    } rows[] = {
        {"", 65536, KMS_E_INVALID_ARGUMENT},
        {"A", 65536, KMS_E_INVALID_ARGUMENT},
        {"../x", 65536, KMS_E_INVALID_ARGUMENT},
        {"a23456789012345678901234567890123", 65536, KMS_E_INVALID_ARGUMENT},
        {"a", 65535, KMS_E_INVALID_ARGUMENT},
        {"a", 61440, KMS_E_INVALID_ARGUMENT},
        {"a", UINT64_C(1) << 41, KMS_E_INVALID_ARGUMENT},
        {"a2345678901234567890123456789012", 65536, KMS_E_OK},
        {"a-1", 69632, KMS_E_OK},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_options options = {
            .dir = dir, .instance = rows[i].instance, .segment_bytes = rows[i].bytes};
        KMS_OWN(kms_audit) audit = NULL;
        struct kms_why why = {""};
        CU_ASSERT_EQUAL(kms_audit_open(&options, &audit, &why).code, rows[i].code);
        CU_ASSERT_EQUAL(why.text[0] == '\0', rows[i].code == KMS_E_OK);
    }
}

static void one_writer_only(void)
{
    char dir[128];
    log_dir(dir);
    struct kms_why why;
    kms_audit *other = NULL, *audit = log_open(dir, LOG_SEGMENT_BYTES);
    KMS_ASSERT_CODE(log_try_open(dir, &other, &why), AUDIT_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "another process"));
    kms_audit_close(audit);
    KMS_ASSERT_OK(log_try_open(dir, &other, &why));
    kms_audit_close(other);
    kms_audit_close(NULL);
}

static void time_never_runs_back(void)
{
    char dir[128], last[64] = "";
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    for (unsigned i = 0; i < 50; i++) log_call(audit, i);
    kms_audit_close(audit);
    KMS_OWN(kms_audit_reader) reader = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    for (bool more = true; more;) {
        struct kms_audit_line line;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        if (!more) break;
        const char *time = memmem(line.text.ptr, line.text.len, "\"time\":\"", 8);
        CU_ASSERT_TRUE(strncmp(time, last, 36) >= 0);
        snprintf(last, sizeof last, "%.36s", time);
    }
}

/* Acknowledges each commit with the number of calls that are durable, until it is killed. */
static void write_until_killed(const char *dir, int acknowledge, unsigned first)
{
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    for (unsigned n = first;;) {
        for (unsigned batch = n % 7; batch > 0; batch--) log_call(audit, n++);
        log_call(audit, n++);
        if (kms_failed(kms_audit_commit(audit)) || write(acknowledge, &n, sizeof n) != sizeof n) _exit(1);
    }
}

static void killed_at_any_moment(void)
{
    char dir[128];
    log_dir(dir);
    unsigned acknowledged = 0;
    for (unsigned round = 0; round < 20; round++) {
        int ends[2];
        CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            write_until_killed(dir, ends[1], acknowledged);
        }
        close(ends[1]);
        unsigned n, wanted = 1 + round * 9;
        for (unsigned got = 0; got < wanted && read(ends[0], &n, sizeof n) == sizeof n; got++)
            acknowledged = n;
        kill(child, SIGKILL);
        while (read(ends[0], &n, sizeof n) == sizeof n) acknowledged = n;
        waitpid(child, NULL, 0);
        close(ends[0]);
        log_good(dir);
    }
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    log_good(dir);
    for (unsigned n = 0; n < acknowledged; n += 1 + acknowledged / 50) {
        char operation[40];
        snprintf(operation, sizeof operation, "\"Op%u\"", n);
        CU_ASSERT_TRUE(log_count(dir, operation) >= 1);
    }
    CU_ASSERT_TRUE(log_count(dir, "\"kind\":\"call\"") >= acknowledged);
}

KMS_TEST_MAIN("audit/audit", {"one chain over restarts", one_chain_over_restarts},
              {"nothing counts before commit", nothing_counts_before_commit},
              {"closed files have no NUL", closed_files_have_no_nul}, {"rotation", rotation},
              {"batches beyond a segment", batches_beyond_a_segment},
              {"open attempts and the mark survive", attempts_and_mark_survive},
              {"open attempts are bounded", attempts_are_bounded},
              {"odd attempts are read back", odd_attempts_are_read_back},
              {"options are checked", options_are_checked}, {"one writer only", one_writer_only},
              {"time never runs back", time_never_runs_back},
              {"killed at any moment, twenty times", killed_at_any_moment})
