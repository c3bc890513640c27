/* When the log cannot be written: the batch goes to another file or fails as a whole, nothing acknowledged
 * is lost, and the log recovers by itself. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

/* A file system that cannot do direct writes. */
static bool refuse_direct;
int __real_openat(int dir_fd, const char *name, int flags, ...);
int __wrap_openat(int dir_fd, const char *name, int flags, ...);
int __wrap_openat(int dir_fd, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (refuse_direct && (flags & O_DIRECT) != 0) {
        errno = EINVAL;
        return -1;
    }
    return __real_openat(dir_fd, name, flags, mode);
}

static void with_and_without_direct(void (*test)(void))
{
    for (int i = 0; i < 2; i++) {
        refuse_direct = i == 1;
        test();
    }
    refuse_direct = false;
}

static void expect_record(const char *dir, unsigned n, unsigned count)
{
    char operation[40];
    snprintf(operation, sizeof operation, "\"Op%u\"", n);
    CU_ASSERT_EQUAL(log_count(dir, operation), count);
}

/* The primitive that fails is the write, or the sync after a complete write. */
static void one_failure(int nth)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_call(audit, 1);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    log_call(audit, 2);
    log_call(audit, 3);
    faults_arm(FAULT_DISK, nth);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    CU_ASSERT_TRUE(faults_hit());
    faults_arm(FAULT_DISK, 0);
    log_call(audit, 4);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    CU_ASSERT_EQUAL(log_head(audit), 6);
    CU_ASSERT_TRUE(kms_audit_writable(audit));
    CU_ASSERT_EQUAL(log_good(dir), 6);
    CU_ASSERT_EQUAL(log_count(dir, "\"because\":\"failed\""), 1);
    for (unsigned n = 1; n <= 4; n++) expect_record(dir, n, 1);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 6);
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    CU_ASSERT_EQUAL(log_good(dir), 7);
}

static void failed_write(void)
{
    one_failure(1);
}

static void failed_sync(void)
{
    refuse_direct = true;
    one_failure(2); /* the old file holds a whole copy of the batch */
    refuse_direct = false;
}

/* What stands behind the head in a file that failed does not count, and the reader does not give it. Only
 * there. */
static void superseded_records_are_declared(void)
{
    char dir[128];
    KMS_OWN_BUF old = {0};
    refuse_direct = true;
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 2);
    log_call(audit, 7);
    faults_arm(FAULT_DISK, 2);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    faults_arm(FAULT_DISK, 0);
    kms_audit_close(audit);
    refuse_direct = false;
    log_read(dir, 1, &old);
    CU_ASSERT_PTR_NOT_NULL(memmem(old.data, old.len, "\"Op7\"", 5)); /* it is there */
    expect_record(dir, 7, 1);                                        /* and given once */
    KMS_OWN_BUF more = {0};
    KMS_ASSERT_OK(kms_buf_append(&more, old.data, old.len));
    KMS_ASSERT_OK(kms_buf_append(&more, "half a li", 9));
    log_write(dir, 1, more.data, more.len);
    CU_ASSERT_EQUAL(log_good(dir), 5);
    audit = log_open(
        dir, LOG_SEGMENT_BYTES); /* file 3 goes on from 2 because of a start: nothing may stand behind */
    kms_audit_close(audit);
    log_good(dir);
    log_read(dir, 2, &old);
    KMS_ASSERT_OK(kms_buf_append(&old, "half a li", 9));
    log_write(dir, 2, old.data, old.len);
    struct kms_audit_report report;
    struct kms_why why = {""};
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl:3: inserted"));
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void nothing_can_be_written(void)
{
    char dir[128];
    struct kms_why why;
    signal(SIGXFSZ, SIG_IGN);
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 3);
    kms_audit_trouble(audit, &why);
    CU_ASSERT_STRING_EQUAL(why.text, "");
    struct kms_audit_event attempt = {.kind = KMS_AUDIT_ATTEMPT,
                                      .operation = "CreateKey",
                                      .request_id = {{1}},
                                      .has_mark = true,
                                      .store_revision = 5};
    for (unsigned i = 0; i < 3; i++) {
        log_call(audit, 100 + i);
        KMS_ASSERT_OK(kms_audit_append(audit, &attempt));
        limit_files(0);
        kms_err err = kms_audit_commit(audit);
        limit_files(RLIM_INFINITY);
        KMS_ASSERT_CODE(err, AUDIT_UNAVAILABLE);
        CU_ASSERT_FALSE(kms_audit_writable(audit));
        CU_ASSERT_EQUAL(log_head(audit), 4);
        kms_audit_trouble(audit, &why);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "File too large"));
    }
    KMS_ASSERT_OK(kms_audit_commit(audit)); /* nothing to do: the batches are gone */
    CU_ASSERT_FALSE(kms_audit_writable(audit));
    log_call(audit, 200);
    KMS_ASSERT_OK(kms_audit_commit(audit)); /* space is back */
    CU_ASSERT_TRUE(kms_audit_writable(audit));
    log_calls(audit, 100);
    log_good(dir);
    for (unsigned i = 0; i < 3; i++) expect_record(dir, 100 + i, 0);
    expect_record(dir, 200, 1);
    kms_audit_close(audit);
    log_good(dir);
    uint64_t revision;
    uint8_t digest[KMS_DIGEST_BYTES];
    const struct kms_audit_open_attempt *open;
    audit = log_open(dir, LOG_SEGMENT_BYTES); /* an attempt that was not acknowledged is not open */
    CU_ASSERT_EQUAL(kms_audit_open_attempts(audit, &open), 0);
    CU_ASSERT_FALSE(kms_audit_last_mark(audit, &revision, digest));
    kms_audit_close(audit);
}

static void no_space(void)
{
    with_and_without_direct(nothing_can_be_written);
}

/* A batch that had to be committed in parts fails as a whole when a part fails. */
static void part_of_a_batch_fails(void)
{
    char dir[128];
    struct kms_audit_event event = log_event(1);
    kms_err err = KMS_OK;
    signal(SIGXFSZ, SIG_IGN);
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    limit_files(0);
    for (unsigned i = 0; i < 1000 && !kms_failed(err); i++) err = kms_audit_append(audit, &event);
    limit_files(RLIM_INFINITY);
    KMS_ASSERT_CODE(err, AUDIT_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_audit_append(audit, &event), AUDIT_UNAVAILABLE);
    KMS_ASSERT_CODE(kms_audit_commit(audit), AUDIT_UNAVAILABLE);
    log_calls(audit, 1);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 3);
}

/* Each write and sync of a small log fails once. What was acknowledged is there whatever failed. */
static void each_failure_once(void)
{
    FAULTS_EACH_OF (FAULT_DISK) {
        char dir[128];
        kms_audit *audit = NULL;
        unsigned acknowledged[12], count = 0;
        log_dir(dir);
        kms_err opened = log_try_open(dir, &audit, NULL);
        if (kms_failed(opened)) KMS_ASSERT_CODE(opened, AUDIT_UNAVAILABLE);
        for (unsigned n = 0; audit != NULL && n < KMS_COUNT(acknowledged); n++) {
            struct kms_audit_event event = log_event(n);
            KMS_ASSERT_OK(kms_audit_append(audit, &event));
            if (!kms_failed(kms_audit_commit(audit))) acknowledged[count++] = n;
        }
        kms_audit_close(audit);
        faults_pause();
        CU_ASSERT_TRUE(count == 0 ||
                       count == KMS_COUNT(acknowledged)); /* one failure costs a new file, no call */
        kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
        log_good(dir);
        for (unsigned i = 0; i < count; i++) expect_record(dir, acknowledged[i], 1);
    }
}

static void faults(void)
{
    with_and_without_direct(each_failure_once);
}

static void memory_runs_out(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_audit *audit = NULL;
        kms_audit_reader *reader = NULL;
        struct kms_audit_report report;
        struct kms_why why;
        kms_err opened = log_try_open(dir, &audit, &why);
        kms_audit_close(audit);
        kms_err read = kms_audit_reader_open(dir, "t", &reader, &why);
        if (!kms_failed(read)) read = kms_audit_reader_tail(reader, 2, &why);
        kms_audit_reader_close(reader);
        kms_err verified = log_verify(dir, &report, &why);
        faults_pause();
        if (!faults_hit()) CU_ASSERT_FALSE(kms_failed(opened) || kms_failed(read) || kms_failed(verified));
    }
    log_good(dir);
}

/* Runs body in a child as an ordinary user; its result is the number of the step that went wrong. */
static void as_user(int (*body)(const char *dir))
{
    char dir[128];
    log_dir(dir);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL_FATAL(chmod(kms_temp_dir(), 0711), 0);
        CU_ASSERT_EQUAL_FATAL(chown(dir, 65534, 65534), 0);
    }
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(99);
        _exit(body(dir));
    }
    waitpid(child, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    if (status != 0) fprintf(stderr, "\nstep %d\n", WEXITSTATUS(status));
}

/* Calls, each committed, until one fails or there are enough. */
static kms_err fill(kms_audit *audit, unsigned enough, unsigned *done)
{
    struct kms_audit_event event = log_event(1);
    for (; *done < enough; ++*done) {
        KMS_TRY(kms_audit_append(audit, &event));
        KMS_TRY(kms_audit_commit(audit));
    }
    return KMS_OK;
}

static int try_read_only(const char *dir)
{
    kms_audit *audit = NULL;
    struct kms_why why = {""};
    chmod(dir, 0500);
    if (!kms_is(log_try_open(dir, &audit, &why), KMS_E_AUDIT_UNAVAILABLE)) return 1;
    if (strstr(why.text, "Permission denied") == NULL) return 2;
    chmod(dir, 0700);
    if (kms_failed(log_try_open(dir, &audit, &why))) return 3;
    chmod(dir, 0500); /* from now on no new file can be made */
    unsigned done = 0;
    if (!kms_is(fill(audit, 1000, &done), KMS_E_AUDIT_UNAVAILABLE) || done < 50) return 4;
    chmod(dir, 0700);
    if (kms_failed(fill(audit, done + 1, &done))) return 5;
    kms_audit_close(audit);
    struct kms_audit_report report;
    if (kms_failed(log_verify(dir, &report, &why)) || report.records != done + 2) return 6;
    return 0;
}

static void read_only_directory(void)
{
    as_user(try_read_only);
}

enum { BALLAST_BYTES = 96 * 1024, TMPFS_CANNOT = 98 };

/* A small disk with a file on it that can be shortened. */
static int mount_disk(const char *dir, int *ret_ballast_fd)
{
    char ballast[200];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=256k") != 0)
        return TMPFS_CANNOT;
    snprintf(ballast, sizeof ballast, "%s/ballast", dir);
    *ret_ballast_fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fallocate(*ret_ballast_fd, 0, 0, BALLAST_BYTES) != 0 ? 1 : 0;
}

static int try_full_disk(const char *dir)
{
    kms_audit *audit = NULL;
    struct kms_why why = {""};
    int ballast_fd = -1, mounted = mount_disk(dir, &ballast_fd);
    unsigned done = 0;
    if (mounted != 0) return mounted;
    if (kms_failed(log_try_open(dir, &audit, &why))) return 2;
    if (!kms_is(fill(audit, 2000, &done), KMS_E_AUDIT_UNAVAILABLE) || done < 50) return 3;
    kms_audit_trouble(audit, &why);
    if (strstr(why.text, "No space left") == NULL) return 4;
    if (!kms_is(fill(audit, 2000, &done), KMS_E_AUDIT_UNAVAILABLE)) return 5;
    if (ftruncate(ballast_fd, 0) != 0) return 6;
    if (kms_failed(fill(audit, done + 20, &done))) return 7;
    kms_audit_close(audit);
    struct kms_audit_report report;
    if (kms_failed(log_verify(dir, &report, &why)) || report.records != done + report.files) return 8;
    return 0;
}

static void full_disk(void)
{
    char dir[128];
    int status = 0;
    log_dir(dir);
    pid_t child = fork();
    if (child == 0) _exit(try_full_disk(dir));
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == TMPFS_CANNOT)
        return; /* no right to mount: no_space shows the same */
    CU_ASSERT_EQUAL(status, 0);
    if (status != 0) fprintf(stderr, "\nstep %d\n", WEXITSTATUS(status));
}

KMS_TEST_MAIN("audit/trouble", {"a write fails", failed_write},
              {"a sync fails after a whole write", failed_sync},
              {"superseded records are declared", superseded_records_are_declared},
              {"no space, then space", no_space}, {"part of a batch fails", part_of_a_batch_fails},
              {"each write and sync fails once", faults}, {"memory runs out", memory_runs_out},
              {"read-only directory", read_only_directory}, {"full disk", full_disk})
