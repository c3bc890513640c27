/* Statements with places for values. */
#include "kmsd/rotators/statements.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/suite.h"

static const struct kms_statement_values values = {
    "kms-a-role-abc-1", "SCRAM-SHA-256$4096:aa==$bb=:c+/=", "2026-11-22 12:00:00+0000"};

static void places(void)
{
    static const struct {
        const char *statement, *want;
    } cases[] = {
        {"CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
         "CREATE ROLE \"kms-a-role-abc-1\" WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:aa==$bb=:c+/=' VALID "
         "UNTIL "
         "'2026-11-22 12:00:00+0000';"},
        {"{{username}}{{name}}", "kms-a-role-abc-1kms-a-role-abc-1"},
        {"SELECT '{{1,2},{3,4}}'::int[]", "SELECT '{{1,2},{3,4}}'::int[]"}, /* SQL's own braces */
        {"{{name}", "{{name}"},
        {"{{ name }}", "{{ name }}"},
        {"{{{name}}}", "{kms-a-role-abc-1}"},
        {"{{", "{{"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_secret) sql = NULL;
        KMS_ASSERT_OK_FATAL(kms_statement_fill(kms_bytes_text(cases[i].statement), &values, &sql));
        CU_ASSERT_STRING_EQUAL(kms_secret_data(sql), cases[i].want);
        CU_ASSERT_EQUAL(kms_secret_len(sql), strlen(cases[i].want) + 1);
    }
}

/* A value that could end the quotation around it is not put into any. */
static void values_that_are_refused(void)
{
    static const char *const evil[] = {"",     "a'b", "a\"b", "a\\b", "a;b",  "a$$b",     "a--b",
                                       "a\nb", "a{b", "a%b",  "a(b",  "a/*b", "a\xc3\xa4"};
    for (size_t i = 0; i < KMS_COUNT(evil); i++) {
        for (int place = 0; place < 3; place++) {
            struct kms_statement_values v = values;
            KMS_OWN(kms_secret) sql = NULL;
            *(place == 0 ? &v.name : place == 1 ? &v.password : &v.expiration) = evil[i];
            KMS_ASSERT_CODE(kms_statement_fill(kms_bytes_text("SELECT 1"), &v, &sql), INVALID_ARGUMENT);
            CU_ASSERT_PTR_NULL(sql);
        }
    }
}

static void what_is_checked(void)
{
    static char long_one[KMS_STATEMENT_BYTES_MAX + 1];
    struct kms_bytes items[KMS_STATEMENTS_MAX + 1];
    struct kms_statements s = {items, 1};
    struct kms_why why = {{0}};
    memset(long_one, 'x', sizeof long_one);
    for (size_t i = 0; i <= KMS_STATEMENTS_MAX; i++) items[i] = kms_bytes_text("{{name}}");
    KMS_ASSERT_OK(kms_statements_check(&s, "x", true, &why));
    s.count = KMS_STATEMENTS_MAX;
    KMS_ASSERT_OK(kms_statements_check(&s, "x", true, &why));
    s.count = KMS_STATEMENTS_MAX + 1;
    KMS_ASSERT_CODE(kms_statements_check(&s, "renewal statements", true, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "renewal statements: more than 32");
    s.count = 0;
    KMS_ASSERT_OK(kms_statements_check(&s, "x", false, &why));
    KMS_ASSERT_CODE(kms_statements_check(&s, "x", true, &why), INVALID_ARGUMENT);
    s.count = 1;
    const struct {
        struct kms_bytes item;
        const char *why;
    } cases[] = {
        {kms_bytes_text("SELECT '{{password}}'"), "x: none of them names {{name}} or {{username}}"},
        {kms_bytes_text(""), "x: one is empty"},
        {kms_bytes_of(long_one, sizeof long_one), "x: one is longer than 16384 bytes"},
        {kms_bytes_of("{{name}}\0", 9), "x: one is not UTF-8, or holds NUL"},
        {kms_bytes_text("{{name}}\xff"), "x: one is not UTF-8, or holds NUL"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        items[0] = cases[i].item;
        KMS_ASSERT_CODE(kms_statements_check(&s, "x", true, &why), INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, cases[i].why);
    }
}

static void expiration(void)
{
    char text[KMS_EXPIRATION_TEXT];
    kms_expiration_text(UINT64_C(1795348800999999), text);
    CU_ASSERT_STRING_EQUAL(text, "2026-11-22 12:00:00+0000");
}

KMS_TEST_MAIN("rotators/statements", {"places", places}, {"values that are refused", values_that_are_refused},
              {"what is checked", what_is_checked}, {"expiration", expiration})
