/* What no kmsd puts into the directory of its log: nothing waits for it, and words say what to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"
#include "kmsd/audit/write/pack.h"
#include "tests/unit/kmsd/audit/log.h"

enum { CALLS = 300 };

static void make_log(char dir[128])
{
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, CALLS);
    kms_audit_close(audit);
    CU_ASSERT_FATAL(log_files(dir) >= 3);
}

static void make_fifo(const char *path)
{
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
}

static void make_folder(const char *path)
{
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    KMS_OWN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
}

static void make_link_to_device(const char *path)
{
    CU_ASSERT_EQUAL_FATAL(symlink("/dev/zero", path), 0);
}

/* Everybody who reads says so: verify, a reader, kmsd at its start, and the packer. */
static void expect_told(const char *dir, uint32_t number)
{
    struct kms_audit_report report;
    struct kms_why why = {""};
    kms_audit *audit = NULL;
    kms_audit_reader *reader = NULL;
    KMS_OWN_FD dir_fd = -1;
    static const char words[] = "no regular file, so none of this log: move it away";
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    KMS_ASSERT_CODE(kms_audit_reader_open(dir, "t", &reader, &why), IO);
    KMS_ASSERT_CODE(log_try_open(dir, &audit, &why), AUDIT_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
    uint32_t *numbers = NULL;
    size_t count = 0;
    KMS_ASSERT_OK(kms_audit_plain_numbers(dir_fd, "t", 99, &numbers, &count, NULL));
    for (size_t i = 0; i < count; i++) CU_ASSERT_NOT_EQUAL(numbers[i], number);
    free(numbers);
    KMS_ASSERT_CODE(kms_audit_pack_file(dir_fd, "t", number, NULL, &why), IO);
}

static void no_regular_file(void)
{
    static void (*const makers[])(const char *) = {make_fifo, make_folder, make_socket, make_link_to_device};
    for (size_t i = 0; i < 2 * KMS_COUNT(makers); i++) {
        char dir[128], path[200], name[64];
        make_log(dir);
        uint32_t number = i % 2 == 0 ? 2 : log_files(dir) + 1; /* in place of a file, or behind all */
        log_name(number, name);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        unlink(path);
        makers[i / 2](path);
        expect_told(dir, number);
    }
}

/* A NUL in a closed file is a change, wherever the file stands, and nothing that a crash left. */
static void nul_in_a_line(void)
{
    for (uint32_t number = 1; number <= 2; number++) {
        char dir[128], want[64];
        struct kms_audit_report report;
        struct kms_why why = {""};
        KMS_OWN_BUF file = {0};
        make_log(dir);
        log_read(dir, number, &file);
        const uint8_t *end = memchr(file.data, '\n', file.len);
        log_poke(dir, number, (size_t)(end - file.data) + 20, 0);
        snprintf(want, sizeof want, "t-0000000%u.jsonl:2: changed: NUL", number);
        KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, want));
    }
}

KMS_TEST_MAIN("audit/foreign", {"no regular file", no_regular_file}, {"NUL in a line", nul_in_a_line})
