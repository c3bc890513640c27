/* The bar: drawn with a carriage return, taken away with "erase to the end of the line". */
#include "client/kmsctl/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

enum { REDRAW_US = 100 * 1000, BAR_WIDTH = 40, COLUMNS = 80 };

static const char full[] = "########################################";
_Static_assert(sizeof full == BAR_WIDTH + 1, "the bar is cut from it");

/* A terminal that says it is dumb cannot go back to the start of its line. */
static bool can_redraw(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

static size_t columns_of_terminal(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
}

static void print_numbers(const char *unit, uint64_t done, uint64_t total, char *text, size_t size)
{
    const double mib = 1024 * 1024;
    if (unit == NULL && total == CTL_PROGRESS_UNKNOWN)
        snprintf(text, size, "%.1f MiB", (double)done / mib);
    else if (total == CTL_PROGRESS_UNKNOWN)
        snprintf(text, size, "%" PRIu64 " %s", done, unit);
    else if (unit == NULL)
        snprintf(text, size, "%.1f of %.1f MiB", (double)done / mib, (double)total / mib);
    else
        snprintf(text, size, "%" PRIu64 " of %" PRIu64 " %s", done, total, unit);
}

void ctl_progress_line(const char *unit, uint64_t done, uint64_t total, size_t columns,
                       char line[CTL_PROGRESS_BYTES])
{
    char numbers[80];
    double part = total > 0 && done < total ? (double)done / (double)total : 1.0;
    print_numbers(unit, done, total, numbers, sizeof numbers);
    if (total == CTL_PROGRESS_UNKNOWN) {
        snprintf(line, columns < CTL_PROGRESS_BYTES ? columns + 1 : CTL_PROGRESS_BYTES, "%s", numbers);
        return;
    }
    int len = snprintf(line, CTL_PROGRESS_BYTES, "[%-*.*s] %3d%%  %s", BAR_WIDTH, (int)(part * BAR_WIDTH),
                       full, (int)(part * 100), numbers);
    if ((size_t)len > columns)
        len = snprintf(line, CTL_PROGRESS_BYTES, "%3d%%  %s", (int)(part * 100), numbers);
    if ((size_t)len > columns && columns < CTL_PROGRESS_BYTES) line[columns] = '\0';
}

void ctl_progress_start(struct ctl_progress *progress, const char *unit)
{
    *progress = (struct ctl_progress){.unit = unit, .wanted = can_redraw()};
}

void ctl_progress_show(struct ctl_progress *progress, uint64_t done, uint64_t total)
{
    uint64_t now_us = kms_monotonic_us();
    if (!progress->wanted || (progress->drawn && now_us - progress->drawn_us < REDRAW_US)) return;
    char line[CTL_PROGRESS_BYTES];
    /* one column less: a full line would already move the cursor to the next */
    ctl_progress_line(progress->unit, done, total, columns_of_terminal() - 1, line);
    fprintf(stderr, "\r%s\033[K", line);
    progress->drawn_us = now_us;
    progress->drawn = true;
}

void ctl_progress_clear(struct ctl_progress *progress)
{
    if (progress->drawn) fprintf(stderr, "\r\033[K");
    progress->drawn = false;
}
