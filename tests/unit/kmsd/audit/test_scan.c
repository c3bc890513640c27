/* Lines, their ends, and what a file's end tells. */
#include "kmsd/audit/scan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/kmsd/audit/log.h"

struct place {
    char dir[128];
    int dir_fd;
    struct kms_audit_scan scan;
};

static void begin(struct place *place)
{
    log_dir(place->dir);
    place->dir_fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    KMS_ASSERT_OK_FATAL(kms_audit_scan_new(&place->scan));
}

static void end(struct place *place)
{
    kms_audit_scan_free(&place->scan);
    kms_fd_drop(&place->dir_fd);
}

static void write_and_scan(struct place *place, const void *data, size_t len)
{
    log_write(place->dir, 1, data, len);
    KMS_ASSERT_OK_FATAL(kms_audit_scan_file(&place->scan, place->dir_fd, "t-00000001.jsonl", NULL));
}

/* One letter for each step: a line's first byte, or E, T, O. */
static void steps(struct place *place, const char *want)
{
    for (; *want != '\0'; want++) {
        struct kms_bytes line = {0};
        enum kms_audit_step step;
        KMS_ASSERT_OK_FATAL(kms_audit_scan_next(&place->scan, &line, &step));
        char got = step == KMS_AUDIT_END        ? 'E'
                   : step == KMS_AUDIT_TORN     ? 'T'
                   : step == KMS_AUDIT_OVERLONG ? 'O'
                                                : '-';
        if (step == KMS_AUDIT_LINE && line.len > 0) got = (char)line.ptr[0];
        CU_ASSERT_EQUAL(got, *want);
    }
}

static const struct {
    const char *data;
    size_t len;
    const char *steps;
    enum kms_audit_tail tail;
    uint64_t tail_bytes;
} table[] = {
#define ROW(data, steps, tail, bytes)                                                                        \
    {                                                                                                        \
        data, sizeof(data) - 1, steps, KMS_AUDIT_TAIL_##tail, bytes                                          \
    }
    ROW("", "EE", CLOSED, 0),
    ROW("a\nb\nc\n", "abcEE", CLOSED, 0),
    ROW("a\nb\n\n", "ab-E", CLOSED, 0),
    ROW("a\nb\nc", "abTT", TORN, 1),
    ROW("a\nb\n\0", "abE", LIVE, 0),
    ROW("a\nb\n\0\0\0\0", "abE", LIVE, 0),
    ROW("a\nb\nc\0\0", "abT", TORN, 1),
    ROW("a\nb\nc\0c\n\0", "abT", TORN, 4), /* sectors in any order */
    ROW("a\nb\n\0c\nd\n\0", "abE", TORN, 5),
    ROW("a\nb\n\0c\nd\n", "abE", DAMAGED, 5), /* a closed file has no NUL */
    ROW("a\nb\nc\0d\n", "abT", DAMAGED, 4),
    ROW("\0", "E", LIVE, 0),
    ROW("x", "T", TORN, 1),
};

static void lines_and_tails(void)
{
    struct place place;
    begin(&place);
    for (size_t i = 0; i < KMS_COUNT(table); i++) {
        enum kms_audit_tail tail;
        uint64_t bytes = 99;
        write_and_scan(&place, table[i].data, table[i].len);
        steps(&place, table[i].steps);
        KMS_ASSERT_OK(kms_audit_scan_tail(&place.scan, &tail, &bytes));
        CU_ASSERT_EQUAL(tail, table[i].tail);
        CU_ASSERT_EQUAL(bytes, table[i].tail_bytes);
    }
    end(&place);
}

/* Lines of all lengths over the borders of the buffer. */
static void many_lines(void)
{
    enum { LINES = 3000 };
    struct place place;
    KMS_OWN_BUF file = {0};
    static char text[KMS_AUDIT_LINE_BYTES];
    memset(text, 'x', sizeof text);
    begin(&place);
    for (size_t i = 0; i < LINES; i++) {
        KMS_ASSERT_OK_FATAL(kms_buf_append(&file, text, i * 37 % 4000 + 1));
        KMS_ASSERT_OK_FATAL(kms_buf_append(&file, "\n", 1));
    }
    write_and_scan(&place, file.data, file.len);
    uint64_t position = 0;
    for (size_t i = 0; i < LINES; i++) {
        struct kms_bytes line;
        enum kms_audit_step step;
        KMS_ASSERT_OK_FATAL(kms_audit_scan_next(&place.scan, &line, &step));
        CU_ASSERT_EQUAL_FATAL(step, KMS_AUDIT_LINE);
        CU_ASSERT_EQUAL(line.len, i * 37 % 4000 + 1);
        CU_ASSERT_EQUAL(place.scan.line_number, i + 1);
        position += line.len + 1;
        CU_ASSERT_EQUAL(kms_audit_scan_position(&place.scan), position);
        if (i % 2 == 0) continue;
        kms_audit_scan_back(&place.scan, line);
        KMS_ASSERT_OK_FATAL(kms_audit_scan_next(&place.scan, &line, &step));
        CU_ASSERT_EQUAL(line.len, i * 37 % 4000 + 1);
    }
    steps(&place, "E");
    end(&place);
}

static void longest_line(void)
{
    static char text[KMS_AUDIT_LINE_BYTES + 1];
    struct place place;
    begin(&place);
    memset(text, 'x', sizeof text);
    text[KMS_AUDIT_LINE_BYTES - 1] = '\n';
    write_and_scan(&place, text, KMS_AUDIT_LINE_BYTES);
    steps(&place, "xE");
    text[KMS_AUDIT_LINE_BYTES - 1] = 'x';
    text[KMS_AUDIT_LINE_BYTES] = '\n';
    write_and_scan(&place, text, sizeof text);
    steps(&place, "OO");
    end(&place);
}

static void grows_while_read(void)
{
    struct place place;
    begin(&place);
    write_and_scan(&place, "a\nb\nc\0\0\0\0\0", 11);
    steps(&place, "abT");
    int fd = openat(place.dir_fd, "t-00000001.jsonl", O_WRONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(pwrite(fd, "cc\nd\n", 5, 4), 5);
    steps(&place, "cdE");
    CU_ASSERT_EQUAL(pwrite(fd, "e\n", 2, 9), 2);
    steps(&place, "eE");
    close(fd);
    end(&place);
}

/* More behind a NUL than one commit can have written. */
static void beyond_one_commit(void)
{
    struct place place;
    enum kms_audit_tail tail;
    uint64_t bytes;
    begin(&place);
    write_and_scan(&place, "a\n\0", 3);
    int fd = openat(place.dir_fd, "t-00000001.jsonl", O_WRONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(pwrite(fd, "x\0", 2, 2 + KMS_AUDIT_BATCH_BYTES - 1), 2);
    steps(&place, "aE");
    KMS_ASSERT_OK(kms_audit_scan_tail(&place.scan, &tail, &bytes));
    CU_ASSERT_EQUAL(tail, KMS_AUDIT_TAIL_TORN);
    CU_ASSERT_EQUAL(pwrite(fd, "xx\0", 3, 2 + KMS_AUDIT_BATCH_BYTES - 1), 3);
    KMS_ASSERT_OK(kms_audit_scan_tail(&place.scan, &tail, &bytes));
    CU_ASSERT_EQUAL(tail, KMS_AUDIT_TAIL_DAMAGED);
    close(fd);
    end(&place);
}

static void missing_file(void)
{
    struct place place;
    struct kms_why why = {""};
    begin(&place);
    KMS_ASSERT_CODE(kms_audit_scan_file(&place.scan, place.dir_fd, "none", &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "none: No such file"));
    end(&place);
}

KMS_TEST_MAIN("audit/scan", {"lines and tails", lines_and_tails}, {"many lines", many_lines},
              {"the longest line", longest_line}, {"a file that grows", grows_while_read},
              {"more than one commit", beyond_one_commit}, {"missing file", missing_file})
