/* Bytes go out durably, at any length, over any number of segments. */
#include "kmsd/audit/write/sink.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

enum { SEGMENT = 64 * 1024, BATCH = 20000 };

static kms_audit_sink *open_sink(char dir[128], int *ret_dir_fd)
{
    kms_audit_sink *sink = NULL;
    log_dir(dir);
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, ret_dir_fd, NULL));
    struct kms_audit_sink_options options = {.dir_fd = *ret_dir_fd,
                                             .instance = "t",
                                             .segment_bytes = SEGMENT,
                                             .first_number = 1,
                                             .batch_bytes = BATCH};
    KMS_ASSERT_OK_FATAL(kms_audit_sink_new(&options, &sink));
    return sink;
}

static void put(kms_audit_sink *sink, uint8_t value, size_t len)
{
    memset(kms_audit_sink_space(sink), value, len);
    KMS_ASSERT_OK_FATAL(kms_audit_sink_commit(sink, len, NULL));
}

/* Every length around the size of a block, one after the other in the same file. */
static void every_length(void)
{
    static const size_t lens[] = {1,    2,    4092, 1, 4095, 4096, 4097, 8191,
                                  8192, 8193, 1,    3, 511,  512,  513,  4095};
    char dir[128];
    int dir_fd;
    KMS_OWN_BUF want = {0}, got = {0};
    kms_audit_sink *sink = open_sink(dir, &dir_fd);
    CU_ASSERT_EQUAL(kms_audit_sink_number(sink), 0);
    CU_ASSERT_FALSE(kms_audit_sink_fits(sink, 1));
    KMS_ASSERT_OK_FATAL(kms_audit_sink_roll(sink, NULL));
    for (size_t i = 0; i < KMS_COUNT(lens); i++) {
        uint8_t piece[8193];
        memset(piece, (int)i + 1, sizeof piece);
        put(sink, (uint8_t)(i + 1), lens[i]);
        KMS_ASSERT_OK_FATAL(kms_buf_append(&want, piece, lens[i]));
        log_read(dir, 1, &got);
        CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&want), kms_buf_view(&got)));
    }
    kms_audit_sink_free(sink);
    kms_fd_drop(&dir_fd);
    log_read(dir, 1, &got);
    CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&want), kms_buf_view(&got)));
}

/* A segment is never full to its last byte: that one stays NUL while it lives. */
static void one_byte_stays(void)
{
    char dir[128];
    int dir_fd;
    kms_audit_sink *sink = open_sink(dir, &dir_fd);
    KMS_ASSERT_OK_FATAL(kms_audit_sink_roll(sink, NULL));
    for (int i = 0; i < 3; i++) put(sink, 'x', BATCH);
    size_t left = SEGMENT - 3 * BATCH;
    CU_ASSERT_FALSE(kms_audit_sink_fits(sink, left));
    CU_ASSERT_TRUE(kms_audit_sink_fits(sink, left - 1));
    KMS_ASSERT_CODE(kms_audit_sink_commit(sink, left, NULL), INTERNAL);
    put(sink, 'y', left - 1);
    CU_ASSERT_FALSE(kms_audit_sink_fits(sink, 1));
    struct stat status;
    CU_ASSERT_EQUAL(fstatat(dir_fd, "t-00000001.jsonl", &status, 0), 0);
    CU_ASSERT_EQUAL(status.st_size, SEGMENT);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0640 & ~umask(umask(0))); /* umask() has no way to ask */
    KMS_ASSERT_OK_FATAL(kms_audit_sink_roll(sink, NULL));
    CU_ASSERT_EQUAL(kms_audit_sink_number(sink), 2);
    CU_ASSERT_EQUAL(fstatat(dir_fd, "t-00000001.jsonl", &status, 0), 0);
    CU_ASSERT_EQUAL(status.st_size, SEGMENT - 1);
    kms_audit_sink_free(sink); /* 2 was never written */
    CU_ASSERT_FALSE(log_exists(dir, 2));
    kms_fd_drop(&dir_fd);
}

static void failed_files_are_left_alone(void)
{
    char dir[128];
    int dir_fd;
    struct kms_why why = {""};
    KMS_OWN_BUF got = {0};
    kms_audit_sink *sink = open_sink(dir, &dir_fd);
    KMS_ASSERT_OK_FATAL(kms_audit_sink_roll(sink, NULL));
    put(sink, 'a', 10);
    faults_arm(FAULT_DISK, 1);
    memset(kms_audit_sink_space(sink), 'b', 10);
    KMS_ASSERT_CODE(kms_audit_sink_commit(sink, 10, &why), AUDIT_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(why.text, "t-00000001.jsonl: cannot be written: No space left on device");
    faults_arm(FAULT_DISK, 0);
    CU_ASSERT_EQUAL(kms_audit_sink_number(sink), 0);
    KMS_ASSERT_CODE(kms_audit_sink_commit(sink, 10, &why), INTERNAL);
    KMS_ASSERT_OK_FATAL(kms_audit_sink_roll(sink, NULL));
    put(sink, 'b', 10);
    struct stat status;
    CU_ASSERT_EQUAL(fstatat(dir_fd, "t-00000001.jsonl", &status, 0), 0);
    CU_ASSERT_EQUAL(status.st_size, SEGMENT); /* not even truncated */
    log_read(dir, 2, &got);
    CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&got), kms_bytes_text("bbbbbbbbbb")));
    kms_audit_sink_free(sink);
    kms_fd_drop(&dir_fd);
}

/* A file that stands in the way is not touched, and not for ever in the way. */
static void foreign_files(void)
{
    char dir[128];
    int dir_fd;
    struct kms_why why = {""};
    KMS_OWN_BUF got = {0};
    kms_audit_sink *sink = open_sink(dir, &dir_fd);
    log_write(dir, 1, "mine", 4);
    KMS_ASSERT_CODE(kms_audit_sink_roll(sink, &why), AUDIT_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "File exists"));
    KMS_ASSERT_OK(kms_audit_sink_roll(sink, &why));
    CU_ASSERT_EQUAL(kms_audit_sink_number(sink), 2);
    log_read(dir, 1, &got);
    CU_ASSERT_TRUE(kms_bytes_equal(kms_buf_view(&got), kms_bytes_text("mine")));
    kms_audit_sink_free(sink);
    kms_fd_drop(&dir_fd);
}

KMS_TEST_MAIN("audit/sink", {"every length", every_length}, {"one byte stays NUL", one_byte_stays},
              {"failed files are left alone", failed_files_are_left_alone}, {"foreign files", foreign_files})
