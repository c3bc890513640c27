/* Diffs: every changed line is shown, and nothing that could move the cursor. */
#include "client/kmsctl/diff.h"

#include <stdlib.h>
#include <string.h>

#include "tests/harness/suite.h"

static void diffs(void)
{
    static const struct {
        const char *from, *to, *want;
    } rows[] = {
        {"", "", ""},
        {"a\nb\n", "a\nb\n", "  ... 2 equal lines\n"},
        {"a\nb\nc\n", "a\nc\n", "  a\n- b\n  c\n"},
        {"a\nc\n", "a\nb\nc", "  a\n+ b\n  c\n"},
        {"a\nb\nc\n", "a\nx\nc\n", "  a\n- b\n+ x\n  c\n"},
        {"", "a\nb\n", "+ a\n+ b\n"},
        {"a\nb\n", "", "- a\n- b\n"},
        {"a\nb\n", "b\na\n", "- a\n  b\n+ a\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\nx\n", "1\n2\n3\n4\n5\n6\n7\n8\ny\n",
         "  ... 5 equal lines\n  6\n  7\n  8\n- x\n+ y\n"},
        {"x\n1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\n7\n8\n",
         "- x\n  1\n  2\n  3\n  ... 5 equal lines\n"},
        {"x\n1\n2\n3\n4\n5\n6\n7\n8\nx\n", "1\n2\n3\n4\n5\n6\n7\n8\n",
         "- x\n  1\n  2\n  3\n  ... 2 equal lines\n  6\n  7\n  8\n- x\n"},
        {"a\x1b[2J\n", "a\r\n", "- a?[2J\n+ a?\n"},
        {"\n\n", "\n", "  \n- \n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        KMS_ASSERT_OK(ctl_diff(rows[i].from, rows[i].to, out));
        fclose(out);
        if (strcmp(text, rows[i].want) != 0) printf("\n%zu:\n%s", i, text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].want);
        free(text);
    }
}

/* What is one line more than fits is in the last line; it is compared like any other. */
static void very_long(void)
{
    enum { LINES = 5000 };
    char *from = calloc(LINES, 2), *to, *text = NULL;
    size_t len = 0;
    for (size_t i = 0; i < LINES; i++) memcpy(from + 2 * i, "a\n", 2);
    from[2 * LINES - 1] = '\0';
    to = strdup(from);
    to[2 * LINES - 2] = 'b';
    FILE *out = open_memstream(&text, &len);
    KMS_ASSERT_OK(ctl_diff(from, to, out));
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "- a"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "?b\n"));
    free(text);
    free(to);
    free(from);
}

KMS_TEST_MAIN("client/kmsctl/diff", {"diffs", diffs}, {"very long", very_long})
