/* One event is one line, whatever is in its values. */
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/harness/suite.h"

/* What is logged by write_lines, as one text. */
static void captured(void (*write_lines)(void), kms_buf *ret_text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/log", kms_temp_dir());
    int saved = dup(STDERR_FILENO);
    KMS_OWN_FD file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(saved >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    write_lines();
    dup2(saved, STDERR_FILENO);
    close(saved);
    KMS_ASSERT_OK_FATAL(kms_read_file(path, 1 << 20, ret_text, NULL));
}

static size_t lines_of(const kms_buf *text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text->len; i++) lines += text->data[i] == '\n';
    return lines;
}

static void one_line(void)
{
    kms_log(KMS_LOG_ERROR, "keystore.open", "path=%s err=%s", "/x", "IO");
}

static void the_form_of_a_line(void)
{
    KMS_OWN_BUF text = {0};
    captured(one_line, &text);
    const char *line = (const char *)text.data;
    CU_ASSERT_EQUAL(strncmp(line, "time=20", 7), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(line, "Z level=error event=keystore.open path=/x err=IO\n"));
    CU_ASSERT_EQUAL(lines_of(&text), 1);
}

static void hostile_values(void)
{
    kms_log(KMS_LOG_WARN, "rpc.peer", "name=%s", "a\nlevel=error event=forged\r\tb\x1b[2J\x7f.");
}

static void a_value_cannot_start_a_line(void)
{
    KMS_OWN_BUF text = {0};
    captured(hostile_values, &text);
    CU_ASSERT_EQUAL(lines_of(&text), 1);
    for (size_t i = 0; i + 1 < text.len; i++) CU_ASSERT(text.data[i] >= ' ' && text.data[i] != 127);
}

static void a_long_value(void)
{
    char value[5000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    kms_log(KMS_LOG_INFO, "long", "value=%s", value);
    kms_log(KMS_LOG_INFO, "next", "value=%s", "short");
}

static void a_long_line_is_cut(void)
{
    KMS_OWN_BUF text = {0};
    captured(a_long_value, &text);
    CU_ASSERT_EQUAL(lines_of(&text), 2);
    CU_ASSERT(text.len < 1200);
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)text.data, "event=next value=short\n"));
    CU_ASSERT_EQUAL(strlen((const char *)text.data), text.len); /* no NUL among the bytes */
}

static void every_level(void)
{
    for (int most = KMS_LOG_ERROR; most <= KMS_LOG_DEBUG; most++) {
        kms_log_level_set((enum kms_log_level)most);
        for (int level = KMS_LOG_ERROR; level <= KMS_LOG_DEBUG; level++)
            kms_log((enum kms_log_level)level, "level", "n=%d", level);
    }
    kms_log_level_set(KMS_LOG_INFO);
}

static void levels_are_dropped(void)
{
    KMS_OWN_BUF text = {0};
    captured(every_level, &text);
    CU_ASSERT_EQUAL(lines_of(&text), 1 + 2 + 3 + 4);
}

KMS_TEST_MAIN("base/log", {"the form of a line", the_form_of_a_line},
              {"a value cannot start a line", a_value_cannot_start_a_line},
              {"a long line is cut", a_long_line_is_cut}, {"levels are dropped", levels_are_dropped})
