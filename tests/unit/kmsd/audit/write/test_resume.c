/* Opening after a crash: whatever the last commit left, what was acknowledged is there and the log goes
 * on. */
#include "kmsd/audit/write/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/kmsd/audit/log.h"

enum { CALLS = 6 };

/* The bytes of a log of one file, without NULs, and where its last record begins. */
static size_t sample(kms_buf *buf)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, CALLS);
    kms_audit_close(audit);
    log_read(dir, 1, buf);
    const uint8_t *line = memrchr(buf->data, '\n', buf->len - 1);
    return (size_t)(line - buf->data) + 1;
}

/* The log goes on after `good` records; torn: with a recovery record. */
static void goes_on(const char *dir, uint64_t good, bool torn)
{
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    uint64_t expected = good + 1 + torn;
    CU_ASSERT_EQUAL(log_head(audit), expected);
    log_calls(audit, 2);
    CU_ASSERT_EQUAL(log_good(dir), expected + 2);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), expected + 2);
    CU_ASSERT_EQUAL(log_count(dir, "\"kind\":\"recovery\""), torn);
}

static void cut_at_every_byte(void)
{
    KMS_OWN_BUF whole = {0};
    size_t last = sample(&whole);
    for (size_t len = last; len <= whole.len; len++)
        for (int padded = 0; padded < 2;
             padded++) { /* the file ends there, or NULs follow as in a prepared file */
            static uint8_t file[LOG_SEGMENT_BYTES];
            char dir[128];
            bool torn = len > last && len < whole.len;
            if (padded && len % 4 != 0 && len != last && len != whole.len) continue; /* saves time */
            log_dir(dir);
            memset(file, 0, sizeof file);
            memcpy(file, whole.data, len);
            log_write(dir, 1, file, padded ? sizeof file : len);
            struct kms_audit_report report = {0};
            KMS_ASSERT_OK(log_verify(dir, &report, NULL));
            CU_ASSERT_EQUAL(report.records, len == whole.len ? CALLS + 1 : CALLS);
            CU_ASSERT_EQUAL(report.torn_tail, torn);
            goes_on(dir, report.records, torn);
            CU_ASSERT_EQUAL(log_count(dir, "\"because\":\"crash\""), padded || torn);
        }
}

/* Sectors of the last commit may reach the disk in any order. */
static void holes_in_the_last_commit(void)
{
    KMS_OWN_BUF whole = {0};
    size_t last = sample(&whole);
    for (size_t hole = last; hole + 16 < whole.len; hole += 32) {
        static uint8_t file[LOG_SEGMENT_BYTES];
        char dir[128];
        log_dir(dir);
        memset(file, 0, sizeof file);
        memcpy(file, whole.data, whole.len);
        memset(file + hole, 0, 16);
        log_write(dir, 1, file, sizeof file);
        goes_on(dir, CALLS, true);
    }
}

static void crash_before_the_first_record(void)
{
    static const size_t lens[] = {0, 1, 40, 100}; /* of the first line that reached the disk */
    for (size_t i = 0; i < KMS_COUNT(lens); i++) {
        static uint8_t file[LOG_SEGMENT_BYTES];
        char dir[128];
        KMS_OWN_BUF whole = {0};
        log_dir(dir);
        sample(&whole);
        log_write(dir, 1, whole.data, whole.len);
        memset(file, 0, sizeof file);
        memcpy(file, whole.data, lens[i]);
        log_write(dir, 2, file, sizeof file);
        struct kms_audit_report report = {0};
        KMS_ASSERT_OK(log_verify(dir, &report, NULL));
        CU_ASSERT_EQUAL(report.torn_tail, lens[i] > 0);
        goes_on(dir, CALLS + 1, lens[i] > 0);
        CU_ASSERT_EQUAL(log_exists(dir, 2), lens[i] > 0); /* a file never used is removed */
    }
}

/* Where line `number` begins, and how long it is with its line feed. */
static size_t line_at(const kms_buf *buf, unsigned number, size_t *ret_len)
{
    size_t at = 0;
    for (;;) {
        const uint8_t *end = memchr(buf->data + at, '\n', buf->len - at);
        *ret_len = (size_t)(end - buf->data) + 1 - at;
        if (--number == 0) return at;
        at += *ret_len;
    }
}

static void flip(kms_buf *buf, size_t at, size_t len)
{
    buf->data[at + len - 100] ^= 1;
}
static void garble(kms_buf *buf, size_t at, size_t len)
{
    memset(buf->data + at, 'x', len - 1);
}
static void put_nul(kms_buf *buf, size_t at, size_t len)
{
    buf->data[at + len / 2] = 0;
}
static void leave_out(kms_buf *buf, size_t at, size_t len)
{
    memmove(buf->data + at, buf->data + at + len, buf->len - at - len);
    buf->len -= len;
}
static void add_long_line(kms_buf *buf, size_t at, size_t len)
{
    static char filler[KMS_AUDIT_LINE_BYTES];
    (void)at, (void)len;
    memset(filler, 'x', sizeof filler);
    KMS_ASSERT_OK_FATAL(kms_buf_append(buf, filler, sizeof filler));
}

static void damage_is_refused(void)
{
    static const struct {
        void (*damage)(kms_buf *buf, size_t at, size_t len);
        const char *words;
    } rows[] = {{flip, ":4: changed"},
                {leave_out, ":4: does not follow"},
                {put_nul, ":4: changed: NUL bytes"},
                {garble, ":4: not a record"},
                {add_long_line, ":8: longer"}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char dir[128];
        KMS_OWN_BUF file = {0};
        struct kms_why why = {""};
        kms_audit *audit = NULL;
        size_t len;
        sample(&file);
        size_t at = line_at(&file, 4, &len);
        rows[i].damage(&file, at, len);
        log_dir(dir);
        log_write(dir, 1, file.data, file.len);
        KMS_ASSERT_CODE(log_try_open(dir, &audit, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000001.jsonl"));
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].words));
        CU_ASSERT_EQUAL(log_files(dir), 1); /* nothing made */
    }
}

static void finds_the_state(void)
{
    char dir[128];
    KMS_OWN_FD fd = -1;
    struct kms_audit_resume resume;
    struct kms_why why;
    log_dir(dir);
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &fd, &why));
    KMS_ASSERT_OK(kms_audit_resume(fd, "t", &resume, &why));
    CU_ASSERT_EQUAL(resume.because, KMS_AUDIT_NEW);
    CU_ASSERT_EQUAL(resume.head.sequence, 0);
    CU_ASSERT_EQUAL(resume.next_number, 1);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 200);
    uint64_t head = log_head(audit);
    KMS_ASSERT_OK(kms_audit_resume(fd, "t", &resume, &why)); /* as if it had been killed */
    CU_ASSERT_EQUAL(resume.because, KMS_AUDIT_CRASH);
    CU_ASSERT_EQUAL(resume.head.sequence, head);
    kms_audit_close(audit);
    KMS_ASSERT_OK(kms_audit_resume(fd, "t", &resume, &why));
    CU_ASSERT_EQUAL(resume.because, KMS_AUDIT_START);
    CU_ASSERT_EQUAL(resume.torn_bytes, 0);
}

KMS_TEST_MAIN("audit/resume", {"cut at every byte of the last record", cut_at_every_byte},
              {"holes in the last commit", holes_in_the_last_commit},
              {"crash before the first record of a file", crash_before_the_first_record},
              {"damage is refused", damage_is_refused}, {"finds the state", finds_the_state})
