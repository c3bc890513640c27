/* Views, the growing buffer, files, hex. */
#include "base/bytes.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void equality(void)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {{"", "", true}, {"a", "a", true}, {"a", "b", false}, {"a", "ab", false}, {"", "a", false}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++)
        CU_ASSERT_EQUAL(kms_bytes_equal(kms_bytes_text(cases[i].a), kms_bytes_text(cases[i].b)),
                        cases[i].equal);
    CU_ASSERT(kms_bytes_equal(kms_bytes_of(NULL, 0), kms_bytes_text("")));
    CU_ASSERT(kms_bytes_same("abc", "abc", 3) && !kms_bytes_same("abc", "abd", 3) &&
              kms_bytes_same("abc", "abd", 2));
}

static void a_buffer_grows(void)
{
    KMS_OWN_BUF buf = {0};
    CU_ASSERT_EQUAL(kms_buf_view(&buf).len, 0);
    KMS_ASSERT_OK(kms_buf_append(&buf, NULL, 0));
    CU_ASSERT_STRING_EQUAL(buf.data, "");
    for (int i = 0; i < 1000; i++) KMS_ASSERT_OK_FATAL(kms_buf_print(&buf, "%03d,", i));
    CU_ASSERT_EQUAL(buf.len, 4000);
    CU_ASSERT_EQUAL(buf.data[buf.len], 0);
    CU_ASSERT_EQUAL(memcmp(buf.data + 4 * 512, "512,", 4), 0);
    kms_buf_free(&buf);
    CU_ASSERT(buf.data == NULL && buf.len == 0 && buf.cap == 0);
}

static void a_buffer_that_cannot_grow_is_unchanged(void)
{
    KMS_OWN_BUF buf = {0};
    KMS_ASSERT_OK_FATAL(kms_buf_append(&buf, "abc", 3));
    KMS_ASSERT_CODE(kms_buf_append(&buf, "x", SIZE_MAX / 2), NO_MEMORY);
    char large[200] = {0};
    faults_arm(FAULT_MEMORY, 1);
    KMS_ASSERT_CODE(kms_buf_append(&buf, large, sizeof large), NO_MEMORY);
    faults_arm(FAULT_MEMORY, 1);
    KMS_ASSERT_CODE(kms_buf_print(&buf, "%200d", 1), NO_MEMORY);
    faults_arm(0, 0);
    CU_ASSERT_STRING_EQUAL(buf.data, "abc");
    CU_ASSERT_EQUAL(buf.len, 3);
}

static void files(void)
{
    char path[128];
    struct kms_why why = {{0}};
    snprintf(path, sizeof path, "%s/file", kms_temp_dir());
    KMS_OWN_BUF none = {0}, whole = {0}, cut = {0}, folder = {0};
    KMS_ASSERT_CODE(kms_read_file(path, 10, &none, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, path));
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[9000];
    memset(block, 'x', sizeof block);
    CU_ASSERT_EQUAL_FATAL(write(fd, block, sizeof block), (ssize_t)sizeof block);
    KMS_ASSERT_OK(kms_read_file(path, sizeof block, &whole, &why));
    CU_ASSERT(whole.len == sizeof block && whole.data[8999] == 'x' && whole.data[9000] == 0);
    KMS_ASSERT_CODE(kms_read_file(path, sizeof block - 1, &cut, &why), LIMIT_EXCEEDED);
    KMS_ASSERT_CODE(kms_read_file(kms_temp_dir(), 10, &folder, NULL), IO);
}

static void a_descriptor_is_closed_once(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;
    kms_fd_drop(&fd);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_EQUAL(fcntl(copy, F_GETFD), -1);
    kms_fd_drop(&fd);
}

static void hex(void)
{
    static const struct {
        const char *text;
        size_t len; /* bytes wanted */
        bool ok;
    } cases[] = {{"", 0, true},     {"00ff", 2, true},   {"00FF", 2, true},    {"0aB9", 2, true},
                 {"00f", 2, false}, {"00ff0", 2, false}, {"00ff00", 2, false}, {"0g", 1, false},
                 {" 0", 1, false},  {"0x", 1, false},    {"", 1, false},       {"00", 0, false}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        uint8_t data[4] = {0};
        CU_ASSERT_EQUAL(kms_unhex(cases[i].text, strlen(cases[i].text), data, cases[i].len), cases[i].ok);
    }
    char text[7];
    kms_hex("\x00\xab\xff", 3, text);
    CU_ASSERT_STRING_EQUAL(text, "00abff");
    kms_hex(NULL, 0, text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

KMS_TEST_MAIN("base/bytes", {"equality", equality}, {"a buffer grows", a_buffer_grows},
              {"a buffer that cannot grow is unchanged", a_buffer_that_cannot_grow_is_unchanged},
              {"files", files}, {"a descriptor is closed once", a_descriptor_is_closed_once}, {"hex", hex})
