/* Anchors: one line for each head, durable, and no failure that anybody waits for. */
#include "kmsd/audit/anchor.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void path_of(const char *name, char path[200])
{
    snprintf(path, 200, "%s/%s", kms_temp_dir(), name);
}

static void expect_file(const char *path, const char *want)
{
    KMS_OWN_BUF file = {0};
    KMS_ASSERT_OK_FATAL(kms_read_file(path, 1 << 20, &file, NULL));
    CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&file), kms_bytes_text(want)));
}

static void appends_lines(void)
{
    char path[200];
    struct kms_why why = {""};
    path_of("anchor", path);
    KMS_ASSERT_OK(kms_anchor_append(path, kms_bytes_text("one\n"), &why));
    KMS_ASSERT_OK(kms_anchor_append(path, kms_bytes_text("two\n"), &why));
    expect_file(path, "one\ntwo\n");
    CU_ASSERT_EQUAL_FATAL(truncate(path, 6), 0); /* as a machine that died leaves it */
    KMS_ASSERT_OK(kms_anchor_append(path, kms_bytes_text("three\n"), &why));
    expect_file(path, "one\ntw\nthree\n");
}

static void says_what_fails(void)
{
    char path[200];
    struct kms_why why = {""};
    path_of("absent/anchor", path);
    KMS_ASSERT_CODE(kms_anchor_append(path, kms_bytes_text("one\n"), &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "absent/anchor: No such file"));
    KMS_ASSERT_CODE(kms_anchor_append("/dev/full", kms_bytes_text("one\n"), &why), IO);
    CU_ASSERT_STRING_EQUAL(why.text, "/dev/full: No space left on device");
    KMS_ASSERT_CODE(kms_anchor_append(kms_temp_dir(), kms_bytes_text("one\n"), &why), IO);
}

static void sync_that_fails(void)
{
    char path[200];
    struct kms_why why = {""};
    path_of("unsynced", path);
    faults_arm(FAULT_DISK, 1);
    KMS_ASSERT_CODE(kms_anchor_append(path, kms_bytes_text("one\n"), &why), IO);
    faults_arm(FAULT_DISK, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "unsynced: Input/output error"));
}

static struct kms_audit_signed_head head_at(uint64_t sequence)
{
    return (struct kms_audit_signed_head){.sequence = sequence, .hash = "h", .key_id = "k", .signature = "s"};
}

/* Stopping waits for the last one, so that it can be looked for. */
static void the_last_head_is_written(void)
{
    char path[200], want[KMS_AUDIT_ANCHOR_BYTES];
    kms_anchor *anchor = NULL;
    KMS_OWN_BUF file = {0};
    path_of("threaded", path);
    KMS_ASSERT_OK_FATAL(kms_anchor_start("t", path, false, &anchor));
    struct kms_audit_signed_head head;
    for (uint64_t i = 1; i <= 50; i++) {
        head = head_at(i);
        kms_anchor_put(anchor, &head);
    }
    kms_anchor_stop(anchor);
    size_t len = kms_audit_anchor_line("t", &head, want);
    KMS_ASSERT_OK_FATAL(kms_read_file(path, 1 << 20, &file, NULL));
    CU_ASSERT_FATAL(file.len >= len);
    CU_ASSERT_EQUAL(memcmp(file.data + file.len - len, want, len), 0);
}

static void trouble_is_told_and_passes(void)
{
    char path[200], dir[200];
    uint64_t sequence = 77;
    struct kms_why why = {""};
    kms_anchor *anchor = NULL;
    path_of("later/anchor", path);
    path_of("later", dir);
    KMS_ASSERT_OK_FATAL(kms_anchor_start("t", path, false, &anchor));
    struct kms_audit_signed_head head = head_at(5);
    kms_anchor_put(anchor, &head);
    while (why.text[0] == '\0') kms_anchor_status(anchor, &sequence, &why);
    CU_ASSERT_EQUAL(sequence, 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0); /* no newer head comes: the log is idle */
    while (sequence == 0) kms_anchor_status(anchor, &sequence, &why);
    CU_ASSERT_EQUAL(sequence, 5);
    CU_ASSERT_STRING_EQUAL(why.text, "");
    head = head_at(6);
    kms_anchor_put(anchor, &head);
    while (sequence == 5) kms_anchor_status(anchor, &sequence, &why);
    CU_ASSERT_EQUAL(sequence, 6);
    kms_anchor_stop(anchor);
}

/* What would go to /dev/log. */
static struct {
    unsigned count;
    int priority;
    char text[KMS_AUDIT_ANCHOR_BYTES];
} told;
void __wrap_syslog(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_syslog(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    told.count++;
    told.priority = priority;
    vsnprintf(told.text, sizeof told.text, format, args);
    va_end(args);
}
void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list args;
    (void)flag;
    va_start(args, format);
    told.count++;
    told.priority = priority;
    vsnprintf(told.text, sizeof told.text, format, args);
    va_end(args);
}

static void syslog_alone(void)
{
    kms_anchor *anchor = NULL;
    char want[KMS_AUDIT_ANCHOR_BYTES];
    kms_anchor_stop(NULL);
    KMS_ASSERT_OK_FATAL(kms_anchor_start("t", "", true, &anchor));
    struct kms_audit_signed_head head = head_at(9);
    kms_anchor_put(anchor, &head);
    kms_anchor_stop(anchor);
    want[kms_audit_anchor_line("t", &head, want) - 1] = '\0';
    CU_ASSERT_STRING_EQUAL(told.text, want);
    CU_ASSERT_EQUAL(told.priority, LOG_AUTHPRIV | LOG_NOTICE);
}

/* What is tried again for the file is not said again to syslog; and stopping tries once more. */
static void both_places(void)
{
    char path[200], dir[200];
    uint64_t sequence;
    struct kms_why why = {""};
    kms_anchor *anchor = NULL;
    KMS_OWN_BUF file = {0};
    path_of("both/anchor", path);
    path_of("both", dir);
    told.count = 0;
    KMS_ASSERT_OK_FATAL(kms_anchor_start("t", path, true, &anchor));
    struct kms_audit_signed_head head = head_at(5);
    kms_anchor_put(anchor, &head);
    while (why.text[0] == '\0') kms_anchor_status(anchor, &sequence, &why);
    CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0);
    kms_anchor_stop(anchor);
    CU_ASSERT_EQUAL(told.count, 1);
    KMS_ASSERT_OK(kms_read_file(path, 1 << 20, &file, NULL));
    CU_ASSERT_TRUE(file.len > 0);
}

KMS_TEST_MAIN("audit/anchor", {"appends lines", appends_lines}, {"says what fails", says_what_fails},
              {"a sync that fails", sync_that_fails}, {"the last head is written", the_last_head_is_written},
              {"trouble is told and passes", trouble_is_told_and_passes}, {"syslog alone", syslog_alone},
              {"both places", both_places})
