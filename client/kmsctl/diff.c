/* A diff by the longest common subsequence of lines: documents here have at most a few thousand. */
#include "client/kmsctl/diff.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 4096, AROUND = 3 };

struct lines {
    struct kms_bytes *line;
    size_t count;
};

/* The last one holds the rest of a text with more lines than that. */
static struct lines split(const char *text)
{
    struct lines lines = {.line = calloc(LINES_MAX, sizeof *lines.line)};
    while (lines.line != NULL && *text != '\0' && lines.count < LINES_MAX) {
        size_t len = lines.count == LINES_MAX - 1 ? strlen(text) : strcspn(text, "\n");
        lines.line[lines.count++] = kms_bytes_of(text, len);
        text += len + (text[len] == '\n');
    }
    return lines;
}

static void put(char mark, struct kms_bytes line, FILE *out)
{
    fprintf(out, "%c ", mark);
    for (size_t i = 0; i < line.len; i++)
        fputc(line.ptr[i] < 0x20 || line.ptr[i] == 0x7f ? '?' : line.ptr[i], out);
    fputc('\n', out);
}

/* common[i][j]: how many lines from[i..] and to[j..] have in common, in order. */
struct table {
    uint16_t *common;
    size_t columns;
};

static uint16_t *at(const struct table *t, size_t i, size_t j)
{
    return &t->common[i * t->columns + j];
}

static bool fill(struct table *t, const struct lines *from, const struct lines *to)
{
    t->columns = to->count + 1;
    t->common = calloc((from->count + 1) * t->columns, sizeof *t->common);
    for (size_t i = from->count; t->common != NULL && i-- > 0;) {
        for (size_t j = to->count; j-- > 0;) {
            uint16_t down = *at(t, i + 1, j), right = *at(t, i, j + 1);
            *at(t, i, j) = kms_bytes_equal(from->line[i], to->line[j]) ? (uint16_t)(*at(t, i + 1, j + 1) + 1)
                           : down > right                              ? down
                                                                       : right;
        }
    }
    return t->common != NULL;
}

/* A stretch of `len` equal lines; first and last: where the text begins and ends. */
static void put_equal(const struct kms_bytes *line, size_t len, bool first, bool last, FILE *out)
{
    size_t head = first ? 0 : AROUND, tail = last ? 0 : AROUND;
    bool cut = len > head + tail + 1;
    for (size_t i = 0; i < len; i++) {
        if (cut && i == head) fprintf(out, "  ... %zu equal lines\n", len - head - tail);
        if (!cut || i < head || i >= len - tail) put(' ', line[i], out);
    }
}

static bool same(const struct lines *from, size_t i, const struct lines *to, size_t j)
{
    return i < from->count && j < to->count && kms_bytes_equal(from->line[i], to->line[j]);
}

static void walk(const struct table *t, const struct lines *from, const struct lines *to, FILE *out)
{
    size_t i = 0, j = 0;
    while (i < from->count || j < to->count) {
        size_t begin = i;
        while (same(from, i, to, j)) i++, j++;
        put_equal(from->line + begin, i - begin, begin == 0, i == from->count && j == to->count, out);
        while (i < from->count && !same(from, i, to, j) &&
               (j == to->count || *at(t, i + 1, j) >= *at(t, i, j + 1)))
            put('-', from->line[i++], out);
        while (j < to->count && !same(from, i, to, j) &&
               (i == from->count || *at(t, i, j + 1) > *at(t, i + 1, j)))
            put('+', to->line[j++], out);
    }
}

kms_err ctl_diff(const char *from_text, const char *to_text, FILE *out)
{
    struct lines from = split(from_text), to = split(to_text);
    struct table table = {.common = NULL};
    bool ok = from.line != NULL && to.line != NULL && fill(&table, &from, &to);
    if (ok) walk(&table, &from, &to, out);
    free(table.common);
    free(from.line);
    free(to.line);
    return ok ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
