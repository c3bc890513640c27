/* What is due between commits: a new file by age, when asked, or when the current one is gone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

static uint64_t later_us;   /* added to the monotonic clock */
static uint64_t earlier_us; /* taken from the wall clock */
uint64_t __real_kms_monotonic_us(void);
uint64_t __wrap_kms_monotonic_us(void);
uint64_t __wrap_kms_monotonic_us(void)
{
    return __real_kms_monotonic_us() + later_us;
}
uint64_t __real_kms_now_us(void);
uint64_t __wrap_kms_now_us(void);
uint64_t __wrap_kms_now_us(void)
{
    return __real_kms_now_us() - earlier_us;
}

static uint64_t pretended_free; /* bytes; 0: what the disk says */
int __real_fstatvfs(int fd, struct statvfs *disk);
int __wrap_fstatvfs(int fd, struct statvfs *disk);
int __wrap_fstatvfs(int fd, struct statvfs *disk)
{
    int rc = __real_fstatvfs(fd, disk);
    if (pretended_free == UINT64_MAX) return -1;
    if (pretended_free == 0) return rc;
    disk->f_frsize = 4096;
    disk->f_bavail = pretended_free / 4096;
    return 0;
}

static const uint64_t hour_us = UINT64_C(3600) * 1000000;

static kms_audit *open_with(const char *dir, uint64_t age_us, bool cached)
{
    const struct kms_audit_options options = {.dir = dir,
                                              .instance = "t",
                                              .segment_bytes = LOG_SEGMENT_BYTES,
                                              .segment_age_us = age_us,
                                              .cached = cached};
    kms_audit *audit = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    return audit;
}

/* The next file is made ready by a thread: tend until it is there. */
static void tend_until(kms_audit *audit, const char *dir, const char *because)
{
    for (unsigned i = 0; log_count(dir, because) == 0; i++) {
        CU_ASSERT_FATAL(i < 10000);
        kms_audit_tend(audit);
        usleep(1000);
    }
}

static void a_trouble(const kms_audit *audit, enum kms_audit_trouble which, const char *words)
{
    struct kms_why whys[KMS_AUDIT_TROUBLES];
    kms_audit_troubles(audit, whys);
    bool said = words == NULL ? whys[which].text[0] == '\0' : strstr(whys[which].text, words) != NULL;
    if (!said) fprintf(stderr, "\n%s\n", whys[which].text);
    CU_ASSERT_TRUE(said);
}

static void by_age(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = open_with(dir, hour_us, false);
    kms_audit_tend(audit);
    later_us += 2 * hour_us;
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 1); /* nothing but its first record: it may grow old */
    log_calls(audit, 1);
    tend_until(audit, dir, "\"because\":\"age\"");
    CU_ASSERT_EQUAL(log_head(audit), 3);
    log_calls(audit, 1);
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 4); /* the new one is young */
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 4);
    audit = open_with(dir, 0, false); /* never */
    log_calls(audit, 1);
    later_us += 1000 * hour_us;
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 6);
    kms_audit_close(audit);
}

/* The file before is closed in good order: it has no NUL, though the log is still open. */
static void when_asked(void)
{
    char dir[128], path[200];
    KMS_OWN_BUF closed = {0};
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    log_calls(audit, 3);
    kms_audit_ask_new_file(audit);
    tend_until(audit, dir, "\"because\":\"asked\"");
    snprintf(path, sizeof path, "%s/t-00000001.jsonl", dir);
    KMS_ASSERT_OK(kms_read_file(path, 1 << 20, &closed, NULL));
    CU_ASSERT_PTR_NULL(memchr(closed.data, 0, closed.len));
    CU_ASSERT_EQUAL(closed.data[closed.len - 1], '\n');
    CU_ASSERT_EQUAL(log_head(audit), 5);
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 5); /* once */
    log_calls(audit, 3);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 8);
}

/* What waits to be committed is not torn in two by a new file. */
static void not_within_a_batch(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    kms_audit_ask_new_file(audit);
    log_call(audit, 1);
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 1);
    KMS_ASSERT_OK(kms_audit_commit(audit));
    tend_until(audit, dir, "\"because\":\"asked\"");
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 3);
}

static void path_of(const char *dir, const char *name, char path[200])
{
    snprintf(path, 200, "%s/%s", dir, name);
}

/* A new file that cannot be made is trouble, but the current one goes on. */
static void no_new_file(void)
{
    char dir[128], path[200];
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    log_calls(audit, 1);
    kms_audit_ask_new_file(audit);
    log_write(dir, 2, "mine", 4);
    for (unsigned i = 0; i < 3000; i++, usleep(1000)) {
        struct kms_why whys[KMS_AUDIT_TROUBLES];
        kms_audit_tend(audit);
        kms_audit_troubles(audit, whys);
        if (whys[KMS_AUDIT_TROUBLE_NEXT].text[0] != '\0') break;
    }
    a_trouble(audit, KMS_AUDIT_TROUBLE_NEXT, "t-00000002.jsonl: cannot be made: File exists");
    log_calls(audit, 1);
    CU_ASSERT_TRUE(kms_audit_writable(audit));
    path_of(dir, "t-00000002.jsonl", path);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    later_us += 2000000; /* the thread has rested */
    tend_until(audit, dir, "\"because\":\"asked\"");
    a_trouble(audit, KMS_AUDIT_TROUBLE_NEXT, NULL);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 4);
}

/* The current file is removed: the next records go to another, the loss is said, and verify names it. */
static void removed(void)
{
    char dir[128], path[200];
    struct kms_audit_report report;
    struct kms_why why = {""};
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    kms_audit_ask_new_file(audit);
    tend_until(audit, dir, "\"because\":\"asked\"");
    log_calls(audit, 4);
    path_of(dir, "t-00000002.jsonl", path);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    kms_audit_tend(audit);
    a_trouble(audit, KMS_AUDIT_TROUBLE_LOST, "t-00000002.jsonl was removed or replaced");
    a_trouble(audit, KMS_AUDIT_TROUBLE_LOST, "records 2 to 6 are not in the log");
    log_calls(audit, 1);
    CU_ASSERT_TRUE(kms_audit_writable(audit));
    kms_audit_close(audit);
    CU_ASSERT_TRUE(log_exists(dir, 3));
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000003.jsonl:1: missing file: t-00000002.jsonl"));
    audit = open_with(dir, 0, false); /* the chain goes on all the same */
    CU_ASSERT_EQUAL(log_head(audit), 9);
    kms_audit_close(audit);
}

/* Replaced by a copy that ends earlier; then the real one is put back, and nothing is missing. */
static void replaced(void)
{
    char dir[128], path[200], aside[200];
    struct kms_audit_report report;
    struct kms_why why = {""};
    KMS_OWN_BUF copy = {0};
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    log_calls(audit, 2);
    log_read(dir, 1, &copy);
    log_calls(audit, 2);
    path_of(dir, "t-00000001.jsonl", path);
    path_of(dir, "aside", aside);
    CU_ASSERT_EQUAL_FATAL(rename(path, aside), 0);
    log_write(dir, 1, copy.data, copy.len);
    kms_audit_tend(audit);
    a_trouble(audit, KMS_AUDIT_TROUBLE_LOST, "records 1 to 5");
    log_calls(audit, 2);
    kms_audit_close(audit);
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000001.jsonl:4: removed: "));
    CU_ASSERT_EQUAL_FATAL(rename(aside, path), 0);
    CU_ASSERT_EQUAL(log_good(dir), 8);
    CU_ASSERT_EQUAL(log_count(dir, "\"because\":\"lost\""), 1);
}

/* The file that should replace a lost one fails too: the one after that takes over. */
static void lost_and_failing(void)
{
    char dir[128], path[200];
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, false);
    path_of(dir, "t-00000001.jsonl", path);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    faults_arm(FAULT_DISK, 1); /* no file can be made */
    kms_audit_tend(audit);
    CU_ASSERT_TRUE(faults_hit());
    faults_arm(FAULT_DISK, 0);
    a_trouble(audit, KMS_AUDIT_TROUBLE_NEXT, "cannot be made");
    log_calls(audit, 1); /* still to the file that nobody sees */
    kms_audit_tend(audit);
    CU_ASSERT_TRUE(log_files(dir) >= 1);
    log_calls(audit, 1);
    kms_audit_close(audit);
    audit = open_with(dir, 0, false);
    CU_ASSERT_EQUAL(log_head(audit), 5);
    kms_audit_close(audit);
}

/* The wall clock steps back a day: time stands still in the file, and its age is another clock's matter. */
static void clock_steps_back(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = open_with(dir, hour_us, false);
    log_calls(audit, 2);
    earlier_us = 24 * hour_us;
    log_calls(audit, 2);
    for (int i = 0; i < 20; i++, usleep(1000)) kms_audit_tend(audit);
    CU_ASSERT_EQUAL(log_head(audit), 5);
    later_us += 2 * hour_us;
    tend_until(audit, dir, "\"because\":\"age\"");
    log_calls(audit, 2);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 8);
    audit = open_with(dir, hour_us, false);
    log_calls(audit, 2);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), 11);
    earlier_us = 0;
}

/* With which our process has this file open. */
static int flags_of(const char *dir, const char *name)
{
    char path[200], link[200], target[200];
    path_of(dir, name, path);
    for (int fd = 0; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target);
        if (len == (ssize_t)strlen(path) && memcmp(target, path, (size_t)len) == 0) return fcntl(fd, F_GETFL);
    }
    CU_FAIL("not open");
    return 0;
}

/* Nothing is synced; it is read back all the same, and by whoever opens the log next. */
static void cached(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = open_with(dir, 0, true);
    CU_ASSERT_EQUAL(flags_of(dir, "t-00000001.jsonl") & (O_DSYNC | O_DIRECT), 0);
    faults_arm(FAULT_DISK, 2); /* a sync would be the second primitive of this commit */
    log_calls(audit, 1);
    CU_ASSERT_FALSE(faults_hit());
    faults_arm(FAULT_DISK, 0);
    log_calls(audit, 300); /* over several files */
    CU_ASSERT_EQUAL(log_good(dir), log_head(audit));
    kms_audit_close(audit);
    audit = open_with(dir, 0, false);
    log_calls(audit, 10);
    kms_audit_close(audit);
    CU_ASSERT_TRUE(log_good(dir) > 310);
}

/* Which records go in, by kind and by whose they are. */
static void expect_refusal(kms_audit *audit, bool refusing)
{
    static const struct {
        enum kms_audit_kind kind;
        const char *class;
        bool refused;
    } rows[] = {
        {KMS_AUDIT_CALL, "usage", true},       {KMS_AUDIT_CALL, NULL, true},
        {KMS_AUDIT_CALL, "read", true},        {KMS_AUDIT_ATTEMPT, "admin", true},
        {KMS_AUDIT_SUPPRESSED, NULL, true},    {KMS_AUDIT_OUTCOME, "admin", false},
        {KMS_AUDIT_ATTEMPT, "service", false}, {KMS_AUDIT_OUTCOME, "service", false},
        {KMS_AUDIT_RECOVERY, NULL, false},     {KMS_AUDIT_SERVICE, NULL, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_event event = {
            .kind = rows[i].kind, .class = rows[i].class, .request_id = {{(uint8_t)(i + 1)}}};
        kms_err err = kms_audit_append(audit, &event);
        bool refused = refusing && rows[i].refused;
        CU_ASSERT_EQUAL(err.code, refused ? KMS_E_AUDIT_UNAVAILABLE : KMS_E_OK);
        KMS_ASSERT_OK(kms_audit_commit(audit)); /* the others of a batch do not suffer */
    }
}

static void space_runs_low(void)
{
    const uint64_t mib = UINT64_C(1) << 20;
    static const struct {
        uint64_t free_mib;
        bool low, refusing;
    } steps[] = {{500, false, false}, {99, true, false},  {102, true, false}, {107, false, false},
                 {40, true, true},    {50, true, true},   {52, true, true},   {54, true, false},
                 {10, true, true},    {200, false, false}};
    char dir[128];
    log_dir(dir);
    const struct kms_audit_options options = {.dir = dir,
                                              .instance = "t",
                                              .segment_bytes = LOG_SEGMENT_BYTES,
                                              .warn_free_bytes = 100 * mib,
                                              .refuse_free_bytes = 50 * mib};
    kms_audit *audit = NULL;
    pretended_free = 500 * mib;
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    for (size_t i = 0; i < KMS_COUNT(steps); i++) {
        pretended_free = steps[i].free_mib * mib;
        kms_audit_tend(audit);
        bool warned = steps[i].low && !steps[i].refusing;
        a_trouble(audit, KMS_AUDIT_TROUBLE_SPACE,
                  steps[i].refusing ? "less than 50 MiB (audit.refuse_free)"
                  : warned          ? "less than 100 MiB (audit.warn_free)"
                                    : NULL);
        expect_refusal(audit, steps[i].refusing);
    }
    pretended_free = 10 * mib;
    kms_audit_tend(audit);
    pretended_free = UINT64_MAX; /* the disk does not say: it stays as it was */
    kms_audit_tend(audit);
    a_trouble(audit, KMS_AUDIT_TROUBLE_SPACE, "make room on the disk of audit.dir");
    expect_refusal(audit, true);
    kms_audit_close(audit);
    pretended_free = 10 * mib; /* a start is possible, and refuses from the beginning */
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    expect_refusal(audit, true);
    kms_audit_close(audit);
    pretended_free = 4096; /* no marks: nothing is refused before the disk is full */
    audit = open_with(dir, 0, false);
    kms_audit_tend(audit);
    a_trouble(audit, KMS_AUDIT_TROUBLE_SPACE, NULL);
    expect_refusal(audit, false);
    kms_audit_close(audit);
    pretended_free = 0;
    log_good(dir);
}

KMS_TEST_MAIN("audit/tend", {"a new file by age", by_age}, {"a new file when asked", when_asked},
              {"not within a batch", not_within_a_batch}, {"a new file cannot be made", no_new_file},
              {"the current file is removed", removed}, {"the current file is replaced", replaced},
              {"lost, and the next one fails", lost_and_failing}, {"the clock steps back", clock_steps_back},
              {"through the page cache", cached}, {"space runs low", space_runs_low})
