/* The terminal's: bars eight rows high, and denials on a row of their own, where few are seen beside many
 * calls. */
#include "client/kmsctl/chart.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    ROWS = 8,
    LABEL = 10 /* columns left of the bars */,
    COLUMNS_MIN = 40,
    MINUTE_TEXT = 16 /* of a time */
};

struct style {
    const char *levels[9]; /* from nothing to a full cell */
    const char *tick, *side, *corner, *floor;
};
static const struct style block_style = {{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}, "┤", "│", "└", "─"};
static const struct style ascii_style = {{" ", ".", ".", ".", ":", ":", ":", ":", "#"}, "|", "|", "+", "-"};

bool ctl_chart_blocks(void)
{
    const char *term = getenv("TERM");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 && (term == NULL || strcmp(term, "dumb") != 0);
}

static uint64_t calls_of(const struct ctl_bin *bin)
{
    return ctl_bin_calls(bin);
}

static uint64_t denied_of(const struct ctl_bin *bin)
{
    return bin->calls[CTL_RESULT_DENIED];
}

typedef uint64_t measure(const struct ctl_bin *bin);

static uint64_t most(const struct ctl_timeline *timeline, measure *of)
{
    uint64_t most = 0;
    for (size_t i = 0; i < timeline->count; i++)
        if (of(&timeline->bins[i]) > most) most = of(&timeline->bins[i]);
    return most;
}

/* One row of bars that are `rows` high; row 0 is the lowest. What is not nothing is seen. */
static void put_row(const struct ctl_timeline *timeline, measure *of, size_t rows, size_t row,
                    const struct style *style, FILE *out)
{
    const uint64_t top = most(timeline, of), steps = 8 * rows;
    for (size_t i = 0; i < timeline->count; i++) {
        uint64_t value = of(&timeline->bins[i]);
        uint64_t height = top > 0 ? (uint64_t)((double)value / (double)top * (double)steps + 0.5) : 0;
        if (value > 0 && height == 0) height = 1;
        uint64_t level = height > 8 * row ? height - 8 * row : 0;
        fputs(style->levels[level < 8 ? level : 8], out);
    }
    fputc('\n', out);
}

static void put_label(const char *text, uint64_t number, const char *side, FILE *out)
{
    char label[48];
    if (text != NULL)
        snprintf(label, sizeof label, "%s", text);
    else
        snprintf(label, sizeof label, "%" PRIu64, number);
    fprintf(out, "%*s %s", LABEL - 2, label, side);
}

/* First and last time below the bars, "2026-11-22T12:00". */
static void put_times(const struct ctl_timeline *timeline, FILE *out)
{
    char first[KMS_TIME_TEXT], last[KMS_TIME_TEXT];
    kms_time_text(ctl_timeline_start(timeline, 0) * 1000000, first);
    kms_time_text(ctl_timeline_start(timeline, timeline->count - 1) * 1000000, last);
    int between = (int)timeline->count - 2 * MINUTE_TEXT;
    fprintf(out, "%*s%.*sZ", LABEL, "", MINUTE_TEXT, first);
    if (timeline->count > 1) fprintf(out, "%*s%.*sZ", between > 2 ? between - 2 : 2, "", MINUTE_TEXT, last);
    fputc('\n', out);
}

void ctl_chart_print(const struct ctl_timeline *given, size_t columns, bool blocks, FILE *out)
{
    struct ctl_timeline timeline = *given;
    const struct style *style = blocks ? &block_style : &ascii_style;
    char length[24];
    if (columns < COLUMNS_MIN) columns = COLUMNS_MIN;
    if (timeline.count == 0) return;
    ctl_timeline_fit(&timeline, columns - LABEL);
    ctl_timeline_length(&timeline, length);
    fprintf(out, "Calls over time, a column is %s:\n", length);
    for (size_t row = ROWS; row-- > 0;) {
        if (row == ROWS - 1)
            put_label(NULL, most(&timeline, calls_of), style->tick, out);
        else
            put_label("", 0, style->side, out);
        put_row(&timeline, calls_of, ROWS, row, style, out);
    }
    put_label("0", 0, style->corner, out);
    for (size_t i = 0; i < timeline.count; i++) fputs(style->floor, out);
    fputc('\n', out);
    put_times(&timeline, out);
    if (most(&timeline, denied_of) == 0) return;
    fprintf(out, "Of these denied, at most %" PRIu64 " in a column:\n", most(&timeline, denied_of));
    put_label("", 0, style->side, out);
    put_row(&timeline, denied_of, 1, 0, style, out);
}
