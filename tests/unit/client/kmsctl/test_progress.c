/* The line of a long command, and that nothing is drawn where there is no terminal. */
#include "client/kmsctl/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/harness/suite.h"

static void lines(void)
{
    static const struct {
        const char *unit;
        uint64_t done, total;
        size_t columns;
        const char *want;
    } rows[] = {
        {"files", 0, 500, 79, "[                                        ]   0%  0 of 500 files"},
        {"files", 250, 500, 79, "[####################                    ]  50%  250 of 500 files"},
        {"files", 499, 500, 79, "[####################################### ]  99%  499 of 500 files"},
        {"versions", 3, 3, 79, "[########################################] 100%  3 of 3 versions"},
        {"files", 0, 0, 79, "[########################################] 100%  0 of 0 files"},
        {"files", 7, 5, 79, "[########################################] 100%  7 of 5 files"},
        {NULL, 1572864, 3145728, 79, "[####################                    ]  50%  1.5 of 3.0 MiB"},
        {NULL, 1572864, CTL_PROGRESS_UNKNOWN, 79, "1.5 MiB"},
        {NULL, 1572864, CTL_PROGRESS_UNKNOWN, 3, "1.5"},
        {"lines", 12, CTL_PROGRESS_UNKNOWN, 79, "12 lines"},
        {"files", 250, 500, 30, " 50%  250 of 500 files"},
        {"files", 250, 500, 10, " 50%  250 "},
        {"files", 250, 500, 0, ""},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char line[CTL_PROGRESS_BYTES];
        ctl_progress_line(rows[i].unit, rows[i].done, rows[i].total, rows[i].columns, line);
        CU_ASSERT_STRING_EQUAL(line, rows[i].want);
    }
}

/* What a bar of two steps writes to a standard error that is fd; text is NUL-terminated. */
static void drawn_on(int fd, int read_from, char *text, size_t size)
{
    const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    CU_ASSERT_FATAL(saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    struct ctl_progress progress;
    ctl_progress_start(&progress, "files");
    ctl_progress_show(&progress, 0, 2);
    ctl_progress_clear(&progress);
    ctl_progress_clear(&progress);
    ctl_progress_show(&progress, 1, 2);
    ctl_progress_clear(&progress);
    CU_ASSERT(write(STDERR_FILENO, "\n", 1) == 1);
    CU_ASSERT(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    size_t len = 0;
    while (len + 1 < size && (len == 0 || text[len - 1] != '\n') && read(read_from, text + len, 1) == 1)
        len++;
    text[len] = '\0';
}

static void on_a_terminal(void)
{
    int primary = -1, terminal = -1;
    char text[512];
    const struct winsize size = {.ws_row = 24, .ws_col = 31};
    CU_ASSERT_FATAL(openpty(&primary, &terminal, NULL, NULL, &size) == 0);
    KMS_OWN_FD read_from = primary;
    KMS_OWN_FD drawn = terminal;
    setenv("TERM", "xterm", 1);
    drawn_on(drawn, read_from, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "\r  0%  0 of 2 files\033[K\r\033[K\r 50%  1 of 2 files\033[K\r\033[K\r\n");
    setenv("TERM", "dumb", 1);
    drawn_on(drawn, read_from, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "\r\n");
}

static void not_into_a_pipe(void)
{
    int ends[2];
    char text[512];
    CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
    KMS_OWN_FD read_from = ends[0];
    KMS_OWN_FD write_to = ends[1];
    setenv("TERM", "xterm", 1);
    drawn_on(write_to, read_from, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "\n");
}

KMS_TEST_MAIN("client/kmsctl/progress", {"the line", lines}, {"it is drawn on a terminal", on_a_terminal},
              {"it is not drawn elsewhere", not_into_a_pipe})
