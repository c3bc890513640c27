/* Places of members and items in a document's text. */
#include "kmsd/policy/locate.h"

#include <stdio.h>

#include "tests/unit/kmsd/policy/fixture.h"

static const char document[] = "{ 'a': [1, {'b': 'x,]\\\\', 'c':[]}, -2.5e3 , [[],{}]],\n"
                               "  '\\u0064' : null,\r\n"
                               "\t'caf\xc3\xa9': {'e':true} }";

static const struct {
    const char *path; /* members by name, items as digits */
    size_t line, column;
} rows[] = {
    {"", 1, 1},
    {"a", 1, 3},
    {"a 0", 1, 9},
    {"a 1", 1, 12},
    {"a 1 b", 1, 13},
    {"a 1 c", 1, 27},
    {"a 2", 1, 36},
    {"a 3", 1, 45},
    {"a 3 1", 1, 49},
    {"d", 2, 3},
    {"caf\xc3\xa9", 3, 2},
    {"caf\xc3\xa9 e", 3, 11},
    /* further than the document goes */
    {"a 9", 1, 3},
    {"a 1 b 0", 1, 13},
    {"a 1 z", 1, 12},
    {"z", 1, 1},
    {"d x", 2, 3},
    {"a 1 c 0", 1, 27},
};

static struct kms_path path_of(char *words)
{
    struct kms_path path = {.depth = 0};
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        path.steps[path.depth++] = *word >= '0' && *word <= '9'
                                       ? (struct kms_step){.index = (size_t)(*word - '0')}
                                       : (struct kms_step){.member = word};
    return path;
}

static void locates(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char words[32];
        snprintf(words, sizeof words, "%s", rows[i].path);
        struct kms_path path = path_of(words);
        struct kms_place place = kms_locate(quoted(document), &path);
        CU_ASSERT_EQUAL(place.line, rows[i].line);
        CU_ASSERT_EQUAL(place.column, rows[i].column);
        if (place.line != rows[i].line || place.column != rows[i].column)
            fprintf(stderr, "\n%s: line %zu, column %zu\n", rows[i].path, place.line, place.column);
    }
}

KMS_TEST_MAIN("policy locate", {"finds members and items", locates})
