/* JSON values as tables. */
#include "client/kmsctl/output.h"

#include <stdlib.h>

#include "tests/harness/suite.h"

static void tables(void)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{\"key_id\": \"a\", \"root_id\": 12, \"audit_writable\": true}",
         "Key id:         a\nRoot id:        12\nAudit writable: yes\n"},
        {"[{\"alias\": \"alias/a\", \"arn\": \"x\"}, {\"alias\": \"alias/long\", \"arn\": \"y\"}]",
         "ALIAS       ARN\nalias/a     x\nalias/long  y\n"},
        {"{\"a\": [\"x\", \"y\"], \"b\": [], \"c\": null, \"d\": \"\"}", "A: x, y\nB: -\nC: -\nD: -\n"},
        {"{\"a\": 1, \"versions\": [{\"version\": 1, \"root_id\": 7}]}",
         "A: 1\n\nVersions:\nVERSION  ROOT ID\n1        7\n"},
        {"[]", "none\n"},
        {"\"text\"", "text\n"},
        {"{\"a\": \"x\\u001b[31m\\ny\\u007f\"}", "A: x?[31m?y?\n"},
        {"[{\"n\": \"Schl\\u00fcssel\", \"m\": 1}, {\"n\": \"b\", \"m\": 2}]",
         "N          M\nSchl\xc3\xbcssel  1\nb          2\n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(value);
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        ctl_table(value, out);
        fclose(out);
        if (strcmp(text, rows[i].want) != 0) printf("row %zu:\n%s", i, text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].want);
        free(text);
        json_decref(value);
    }
}

static void lines_below_a_title(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"one", "\nSQL:\n    one\n"},
        {"one\n\n\ttwo\n", "\nSQL:\n    one\n\n        two\n"},
        {"\r\nx\ry\x1b[2J\r\n", "\nSQL:\n    \n    x?y?[2J\n"},
        {"\xe2\x80\xae"
         "Schl\xc3\xbcssel",
         "\nSQL:\n    ?Schl\xc3\xbcssel\n"},
        {"", "\nSQL:\n"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        ctl_put_lines("SQL", rows[i].text, out);
        fclose(out);
        if (strcmp(text, rows[i].want) != 0) printf("row %zu:\n%s", i, text);
        CU_ASSERT_STRING_EQUAL(text, rows[i].want);
        free(text);
    }
}

static void spans(void)
{
    static const struct {
        uint64_t seconds;
        const char *want;
    } rows[] = {{0, "0s"},
                {59, "59s"},
                {3600, "1h"},
                {5400, "1h 30m"},
                {90061, "1d 1h 1m 1s"},
                {604800, "7d"},
                {UINT64_MAX, "213503982334601d 7h 15s"}};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        json_t *text = ctl_json_span(rows[i].seconds);
        CU_ASSERT_STRING_EQUAL(json_string_value(text), rows[i].want);
        json_decref(text);
    }
}

KMS_TEST_MAIN("client/kmsctl/table", {"tables", tables}, {"lines below a title", lines_below_a_title},
              {"spans", spans})
