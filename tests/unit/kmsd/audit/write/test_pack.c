/* Closed files are compressed; whatever happens meanwhile, the log can be read. */
#include "kmsd/audit/write/pack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

enum { CALLS = 500 };

static int open_dir(const char *dir)
{
    int fd = -1;
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &fd, NULL));
    return fd;
}

static void path_of(const char *dir, uint32_t number, const char *ending, char path[200])
{
    char name[64];
    log_name(number, name);
    snprintf(path, 200, "%s/%s%s", dir, name, ending);
}

static bool packed_exists(const char *dir, uint32_t number)
{
    char path[200];
    path_of(dir, number, ".zst", path);
    return access(path, F_OK) == 0;
}

/* Some files of a log that was closed; returns how many. */
static unsigned make_log(char dir[128])
{
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, CALLS);
    kms_audit_close(audit);
    unsigned files = log_files(dir);
    CU_ASSERT_FATAL(files >= 4);
    return files;
}

static kms_err pack(const char *dir, uint32_t number, struct kms_why *why)
{
    KMS_OWN_FD dir_fd = open_dir(dir);
    return kms_audit_pack_file(dir_fd, "t", number, NULL, why);
}

/* Everything that reads a log reads it the same when some files, or all but the last, are compressed. */
static void mixed(void)
{
    char dir[128], path[200];
    unsigned files = make_log(dir);
    uint64_t records = log_good(dir);
    unsigned decrypts = log_count(dir, "kms:Decrypt");
    struct stat before, after;
    path_of(dir, 1, "", path);
    CU_ASSERT_EQUAL_FATAL(stat(path, &before), 0);
    for (uint32_t number = files - 1; number > 0; number -= 1) {
        KMS_ASSERT_OK_FATAL(pack(dir, number, NULL));
        CU_ASSERT_FALSE(log_exists(dir, number));
        CU_ASSERT_TRUE(packed_exists(dir, number));
        CU_ASSERT_EQUAL(log_good(dir), records);
        CU_ASSERT_EQUAL(log_count(dir, "kms:Decrypt"), decrypts);
    }
    path_of(dir, 1, ".zst", path);
    CU_ASSERT_EQUAL_FATAL(stat(path, &after), 0);
    CU_ASSERT_TRUE(after.st_size < before.st_size / 3);
    CU_ASSERT_EQUAL(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    CU_ASSERT_EQUAL(after.st_mode, before.st_mode);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES); /* and it goes on */
    CU_ASSERT_EQUAL(log_head(audit), records + 1);
    kms_audit_close(audit);
    KMS_ASSERT_OK(pack(dir, files, NULL));     /* the file before the newest, too */
    KMS_ASSERT_OK(pack(dir, files + 1, NULL)); /* and then all: nobody does that, but it is no harm */
    audit = log_open(dir, LOG_SEGMENT_BYTES);
    CU_ASSERT_EQUAL(log_head(audit), records + 2);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), records + 2);
}

static void tail_of_packed(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    KMS_OWN(kms_audit_reader) reader = NULL;
    uint64_t records = log_good(dir), done, total;
    for (uint32_t number = 1; number < files; number++) KMS_ASSERT_OK_FATAL(pack(dir, number, NULL));
    for (size_t wanted = 1; wanted <= CALLS; wanted += 97) {
        size_t count = 0;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
        KMS_ASSERT_OK_FATAL(kms_audit_reader_tail(reader, wanted, NULL));
        for (bool more = true; more; count += more) {
            struct kms_audit_line line;
            KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        }
        CU_ASSERT_EQUAL(count, wanted);
        kms_audit_reader_progress(reader, &done, &total);
        CU_ASSERT_EQUAL(done, total); /* both count content */
        kms_audit_reader_drop(&reader);
        reader = NULL;
    }
    CU_ASSERT_TRUE(records > CALLS);
}

/* A reader that is within a file does not notice; one that comes to it finds the other. */
static void packed_while_read(void)
{
    char dir[128];
    unsigned files = make_log(dir), count = 0;
    uint64_t records = log_good(dir);
    KMS_OWN(kms_audit_reader) reader = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    for (bool more = true; more; count += more) {
        struct kms_audit_line line;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        for (uint32_t number = 1; count == 10 && number < files; number++)
            KMS_ASSERT_OK(pack(dir, number, NULL));
    }
    CU_ASSERT_EQUAL(count, records);
}

/* What a crash between two steps leaves. */
static void between_steps(void)
{
    char dir[128], hidden[200];
    KMS_OWN_BUF plain = {0};
    make_log(dir);
    uint64_t records = log_good(dir);
    snprintf(hidden, sizeof hidden, "%s/.t.packing", dir); /* compressing */
    KMS_OWN_FD fd = open(hidden, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, "half", 4), 4);
    CU_ASSERT_EQUAL(log_good(dir), records);
    log_read(dir, 2, &plain);
    KMS_ASSERT_OK(pack(dir, 2, NULL));
    CU_ASSERT_NOT_EQUAL(access(hidden, F_OK), 0);
    log_write(dir, 2, plain.data, plain.len); /* renamed, but not removed */
    CU_ASSERT_EQUAL(log_good(dir), records);
    KMS_ASSERT_OK(pack(dir, 2, NULL));
    CU_ASSERT_FALSE(log_exists(dir, 2));
    CU_ASSERT_EQUAL(log_good(dir), records);
    KMS_OWN_FD dir_fd = open_dir(dir);
    kms_audit_packer *packer = NULL;
    fd = (close(fd), open(hidden, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    KMS_ASSERT_OK_FATAL(kms_audit_packer_new(dir_fd, "t", &packer));
    CU_ASSERT_NOT_EQUAL(access(hidden, F_OK), 0); /* cleared away */
    kms_audit_packer_free(packer);
}

/* Two that differ: no crash leaves that, and one of them is what was written. None is removed, verify says
 * where they differ, and people decide. */
static void two_that_differ(void)
{
    char dir[128], packed[200];
    struct kms_audit_report report;
    struct kms_why why = {""};
    KMS_OWN_BUF plain = {0};
    make_log(dir);
    uint64_t records = log_good(dir);
    log_read(dir, 2, &plain);
    const uint8_t *line = memmem(plain.data, plain.len, "\"Op", 3);
    line = memmem(line + 1, plain.len - (size_t)(line + 1 - plain.data), "\"Op", 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    log_poke(dir, 2, (size_t)(line - plain.data) + 1, 'X');
    KMS_ASSERT_OK(pack(dir, 2, NULL)); /* the changed one, compressed */
    log_write(dir, 2, plain.data, plain.len);
    KMS_ASSERT_CODE(pack(dir, 2, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl: cannot be compressed"));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl.zst: it is there already"));
    CU_ASSERT_TRUE(log_exists(dir, 2) && packed_exists(dir, 2));
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl.zst:3: inserted: "));
    path_of(dir, 2, ".zst", packed);
    CU_ASSERT_EQUAL(truncate(packed, 10), 0); /* damaged */
    KMS_ASSERT_CODE(pack(dir, 2, &why), IO);
    CU_ASSERT_EQUAL(unlink(packed), 0);
    CU_ASSERT_EQUAL(log_good(dir), records);
    KMS_ASSERT_OK(pack(dir, 2, NULL));
}

static void each_failure_once(void)
{
    char dir[128];
    make_log(dir);
    uint64_t records = log_good(dir);
    KMS_OWN_BUF plain = {0};
    log_read(dir, 2, &plain);
    FAULTS_EACH_OF (FAULT_DISK | FAULT_MEMORY) {
        struct kms_why why = {""};
        kms_err err = pack(dir, 2, &why);
        bool hit = faults_hit();
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), hit);
        if (kms_is(err, KMS_E_IO)) CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl: cannot be"));
        CU_ASSERT_TRUE(log_exists(dir, 2) || (!hit && packed_exists(dir, 2)));
        CU_ASSERT_EQUAL(log_good(dir), records);
        log_write(dir, 2, plain.data, plain.len);
    }
    CU_ASSERT_TRUE(packed_exists(dir, 2));
}

/* Killed at twenty moments, wherever they fall. */
static void killed(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    uint64_t records = log_good(dir);
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            KMS_OWN_FD dir_fd = open_dir(dir);
            for (uint32_t number = 1; number < files; number++)
                kms_ignore(kms_audit_pack_file(dir_fd, "t", number, NULL, NULL));
            _exit(0);
        }
        usleep(i * 400);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        CU_ASSERT_EQUAL(log_good(dir), records);
    }
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    CU_ASSERT_EQUAL(log_good(dir), records + 1);
}

static void damage(const char *dir, uint32_t number, off_t cut, const char *words)
{
    char path[200];
    struct kms_audit_report report;
    struct kms_why why = {""};
    struct stat status;
    path_of(dir, number, ".zst", path);
    KMS_OWN_FD fd = open(path, O_RDWR | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
    if (cut >= 0) {
        CU_ASSERT_EQUAL_FATAL(ftruncate(fd, status.st_size * cut / 100), 0);
    } else {
        uint8_t byte;
        CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, status.st_size / 2), 1);
        byte ^= 0x10;
        CU_ASSERT_EQUAL_FATAL(pwrite(fd, &byte, 1, status.st_size / 2), 1);
    }
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    if (strstr(why.text, words) == NULL) fprintf(stderr, "\n%s\n", why.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
}

static void damaged(void)
{
    for (int i = 0; i < 4; i++) {
        static const off_t cuts[] = {-1, 90, 10, 0};
        char dir[128];
        make_log(dir);
        KMS_ASSERT_OK_FATAL(pack(dir, 2, NULL));
        damage(dir, 2, cuts[i], "t-00000002.jsonl:");
    }
    char dir[128];
    make_log(dir);
    KMS_ASSERT_OK_FATAL(pack(dir, 3, NULL));
    damage(dir, 3, 50, "changed: the compressed file is damaged");
}

/* The log compresses what it has closed, files of former runs too, and never the one it writes. */
static void by_itself(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    const struct kms_audit_options options = {
        .dir = dir, .instance = "t", .segment_bytes = LOG_SEGMENT_BYTES, .compress = true};
    kms_audit *audit = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    log_calls(audit, 300);
    for (unsigned i = 0; log_exists(dir, 1) || log_exists(dir, files + 1); i++) {
        CU_ASSERT_FATAL(i < 20000);
        usleep(1000);
    }
    struct kms_why whys[KMS_AUDIT_TROUBLES];
    kms_audit_tend(audit);
    kms_audit_troubles(audit, whys);
    CU_ASSERT_STRING_EQUAL(whys[KMS_AUDIT_TROUBLE_PACK].text, "");
    uint64_t head = log_head(audit);
    CU_ASSERT_EQUAL(log_good(dir), head);
    kms_audit_close(audit);
    CU_ASSERT_EQUAL(log_good(dir), head);
    for (uint32_t number = 1; number <= files; number++)
        CU_ASSERT_TRUE(packed_exists(dir, number) && !log_exists(dir, number));
    unsigned plain = 0;
    for (uint32_t number = files + 1; number < files + 20; number++) plain += log_exists(dir, number);
    CU_ASSERT_TRUE(plain >= 1);
}

/* Something stands in the way: that is said, and the plain file stays. */
static void in_the_way(void)
{
    char dir[128], path[200];
    make_log(dir);
    path_of(dir, 1, ".zst", path);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    const struct kms_audit_options options = {
        .dir = dir, .instance = "t", .segment_bytes = LOG_SEGMENT_BYTES, .compress = true};
    kms_audit *audit = NULL;
    struct kms_why whys[KMS_AUDIT_TROUBLES] = {{""}};
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    for (unsigned i = 0; i < 20000 && whys[KMS_AUDIT_TROUBLE_PACK].text[0] == '\0'; i++, usleep(1000)) {
        kms_audit_tend(audit);
        kms_audit_troubles(audit, whys);
    }
    CU_ASSERT_PTR_NOT_NULL(
        strstr(whys[KMS_AUDIT_TROUBLE_PACK].text, "t-00000001.jsonl: cannot be compressed"));
    CU_ASSERT_TRUE(log_exists(dir, 1));
    CU_ASSERT_TRUE(packed_exists(dir, 2) && packed_exists(dir, 3)); /* it holds up no other */
    log_calls(audit, 3);
    kms_audit_close(audit);
    log_good(dir);
}

KMS_TEST_MAIN("audit/pack", {"mixed files", mixed}, {"tail", tail_of_packed},
              {"packed while it is read", packed_while_read}, {"between two steps", between_steps},
              {"two that differ", two_that_differ}, {"each failure once", each_failure_once},
              {"killed", killed}, {"damaged", damaged}, {"by itself", by_itself},
              {"something in the way", in_the_way})
