/* Segments are whole, zeroed and given once, whoever makes them. */
#include "kmsd/audit/write/prepare.h"

#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"
#include "tests/harness/faults.h"
#include "tests/unit/kmsd/audit/log.h"

enum { SEGMENT = 1024 * 1024 };

static kms_audit_preparer *open_preparer(char dir[128], int *ret_dir_fd)
{
    kms_audit_preparer *preparer = NULL;
    log_dir(dir);
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, ret_dir_fd, NULL));
    const struct kms_audit_preparer_options options = {
        .dir_fd = *ret_dir_fd, .instance = "t", .segment_bytes = SEGMENT};
    KMS_ASSERT_OK_FATAL(kms_audit_preparer_new(&options, &preparer));
    return preparer;
}

static void close_preparer(kms_audit_preparer *preparer, int dir_fd)
{
    kms_audit_preparer_free(preparer);
    close(dir_fd);
}

static void ahead_or_now(void)
{
    char dir[128];
    int dir_fd;
    kms_audit_preparer *preparer = open_preparer(dir, &dir_fd);
    for (uint32_t number = 1; number <= 20; number++) {
        struct kms_audit_file file;
        struct stat status;
        if (number % 2 == 0) kms_audit_prepare(preparer, number); /* else made now */
        if (number % 4 == 0) usleep(3000);
        KMS_ASSERT_OK_FATAL(kms_audit_prepared(preparer, number, &file, NULL));
        CU_ASSERT_EQUAL(file.number, number);
        CU_ASSERT_EQUAL(fstat(file.fd, &status), 0);
        CU_ASSERT_EQUAL(status.st_size, SEGMENT);
        CU_ASSERT_TRUE(status.st_blocks * 512 >= SEGMENT); /* allocated, no holes */
        kms_audit_file_close(&file);
        CU_ASSERT_EQUAL(file.fd, -1);
    }
    close_preparer(preparer, dir_fd);
    CU_ASSERT_EQUAL(log_files(dir), 20);
}

static void unused_ones_go(void)
{
    for (useconds_t pause_us = 0; pause_us < 4000; pause_us += 500) {
        char dir[128];
        int dir_fd;
        kms_audit_preparer *preparer = open_preparer(dir, &dir_fd);
        kms_audit_prepare(preparer, 1);
        kms_audit_prepare(preparer, 2); /* one at a time */
        usleep(pause_us);
        close_preparer(preparer, dir_fd);
        CU_ASSERT_EQUAL(log_files(dir), 0);
    }
    kms_audit_preparer_free(NULL);
}

static void failure_leaves_nothing(void)
{
    char dir[128];
    int dir_fd;
    unsigned made = 0;
    kms_audit_preparer *preparer = open_preparer(dir, &dir_fd);
    FAULTS_EACH_OF (FAULT_DISK) {
        struct kms_audit_file file = {.fd = -1};
        struct kms_why why = {""};
        kms_err err = kms_audit_prepared(preparer, made + 1, &file, &why);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (kms_failed(err)) {
            KMS_ASSERT_CODE(err, AUDIT_UNAVAILABLE);
            CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "cannot be made"));
            CU_ASSERT_EQUAL(file.fd, -1);
        } else {
            made++;
        }
        CU_ASSERT_EQUAL(log_files(dir), made);
        kms_audit_file_close(&file);
    }
    CU_ASSERT_EQUAL(made, 1);
    struct kms_audit_file file;
    KMS_ASSERT_CODE(kms_audit_prepared(preparer, KMS_AUDIT_NUMBER_MAX + 1, &file, NULL), AUDIT_UNAVAILABLE);
    close_preparer(preparer, dir_fd);
}

/* The thread fails; who needs the segment makes it. */
static void thread_fails(void)
{
    char dir[128];
    int dir_fd;
    struct kms_audit_file file;
    kms_audit_preparer *preparer = open_preparer(dir, &dir_fd);
    faults_arm(FAULT_DISK, 1);
    kms_audit_prepare(preparer, 1);
    for (int i = 0; i < 1000 && !faults_hit(); i++) usleep(1000);
    faults_arm(FAULT_DISK, 0);
    KMS_ASSERT_OK_FATAL(kms_audit_prepared(preparer, 1, &file, NULL));
    CU_ASSERT_EQUAL(file.number, 1);
    kms_audit_file_close(&file);
    close_preparer(preparer, dir_fd);
    CU_ASSERT_EQUAL(log_files(dir), 1);
}

KMS_TEST_MAIN("audit/prepare", {"ahead or now", ahead_or_now}, {"unused ones go", unused_ones_go},
              {"failure leaves nothing", failure_leaves_nothing}, {"the thread fails", thread_fails})
