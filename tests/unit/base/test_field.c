/* One member out of a JSON object. */
#include "base/field.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static void check(const char *json, struct kms_bytes want)
{
    KMS_OWN(kms_secret) value = NULL;
    struct kms_why why = {0};
    kms_err err = kms_field(kms_bytes_text(json), kms_bytes_text("k"), &value, &why);
    bool good = !kms_failed(err);
    if (good && value == NULL) good = want.len == 0;
    if (good && value != NULL)
        good = kms_bytes_equal(kms_bytes_of(kms_secret_data(value), kms_secret_len(value)), want);
    CU_ASSERT(good);
    if (!good) fprintf(stderr, "\n<<%s>> %s\n", json, why.text);
}

static void every_kind_of_value(void)
{
    static const struct {
        const char *json, *want;
    } rows[] = {
        {"{\"k\":\"v\"}", "v"},
        {" \t\r\n{ \"a\" : 1 , \"k\" : \"v\" } \n", "v"},
        {"{\"k\":\"\"}", ""},
        {"{\"k\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t"},
        {"{\"k\":\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"}", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"{\"\\u006b\":\"v\"}", "v"},
        {"{\"K\":\"x\",\"kk\":\"y\",\"k\":\"v\"}", "v"},
        {"{\"k\":5432}", "5432"},
        {"{\"k\":-0.50e+10}", "-0.50e+10"},
        {"{\"k\" : 12345678901234567890 }", "12345678901234567890"},
        {"{\"k\":true}", "true"},
        {"{\"k\":false}", "false"},
        {"{\"k\": { \"a b\" : [ 1 , \"x \\\" y\" , null ] } }", "{\"a b\":[1,\"x \\\" y\",null]}"},
        {"{\"k\":[]}", "[]"},
        {"{\"x\":{\"k\":1},\"k\":{}}", "{}"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) check(rows[i].json, kms_bytes_text(rows[i].want));
    check("{\"k\":\"a\\u0000b\"}", kms_bytes_of("a\0b", 3));
}

static void refused(const char *json, enum kms_code code, const char *words)
{
    kms_secret *value = NULL;
    struct kms_why why = {0};
    kms_err err = kms_field(kms_bytes_text(json), kms_bytes_text("k"), &value, &why);
    CU_ASSERT(kms_code_is(err, code, json, __LINE__));
    CU_ASSERT_STRING_EQUAL(why.text, words);
    CU_ASSERT_PTR_NULL(value);
    kms_secret_free(value);
}

static void what_is_missing_null_or_twice(void)
{
    refused("{}", KMS_E_NOT_FOUND, "the secret has no such field");
    refused("{\"a\":{\"k\":1}}", KMS_E_NOT_FOUND, "the secret has no such field");
    refused("{\"k\":null}", KMS_E_INVALID_ARGUMENT, "the field is null");
    refused("{\"k\":1,\"\\u006B\":2}", KMS_E_INVALID_ARGUMENT, "the secret has this field more than once");
}

static void what_is_no_object(void)
{
    static const char *const rows[] = {
        "",
        "s3cr3t",
        "\"k\"",
        "[1]",
        "{",
        "{\"k\":1",
        "{\"k\":1}x",
        "{\"k\":1,}",
        "{k:1}",
        "{\"k\" 1}",
        "{\"k\":}",
        "{\"k\":01}",
        "{\"k\":1.}",
        "{\"k\":.5}",
        "{\"k\":+1}",
        "{\"k\":1e}",
        "{\"k\":tru}",
        "{\"k\":\"a\nb\"}",
        "{\"k\":\"",
        "{\"k\":\"\\x\"}",
        "{\"k\":\"\\",
        "{\"k\":\"\\u12\"}",
        "{\"k\":\"\\ud83d\"}",
        "{\"k\":\"\\ud83d\\u0041\"}",
        "{\"k\":\"\\ude00\"}",
        "{\"k\":\"\xff\"}",
        "{\"k\":'v'}",
        "{\"k\":[1}",
        "{\"k\":1}{}",
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        refused(rows[i], KMS_E_INVALID_ARGUMENT, "the secret is no JSON object, so it has no fields");
}

static void depth_ends(void)
{
    for (int over = 0; over < 2; over++) {
        char text[512] = "{\"k\":";
        const int deep = KMS_FIELD_DEPTH - 1 + over;
        for (int i = 0; i < deep; i++) strcat(text, "[");
        for (int i = 0; i < deep; i++) strcat(text, "]");
        strcat(text, "}");
        if (over)
            refused(text, KMS_E_INVALID_ARGUMENT, "the secret is no JSON object, so it has no fields");
        else
            check(text, kms_bytes_of(text + 5, (size_t)(2 * deep)));
    }
}

static void a_member_is_set(void)
{
    static const struct {
        const char *json, *value, *want;
    } rows[] = {
        {"", "v", "{\"k\":\"v\"}"},
        {"{}", "", "{\"k\":\"\"}"},
        {" { } \n", "v", " {\"k\":\"v\"}"},
        {"{\"a\": 1 }\n", "v", "{\"a\": 1,\"k\":\"v\"}"},
        {"{\"a\":\"}\"}", "v", "{\"a\":\"}\",\"k\":\"v\"}"},
        {"{\"k\": [1, 2] , \"z\":{\"k\":0}}", "v", "{\"k\": \"v\", \"z\":{\"k\":0}}"},
        {"{\"k\":null}", "\"\\/\n\x1f\xc3\xa4", "{\"k\":\"\\\"\\\\/\\u000a\\u001f\xc3\xa4\"}"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN(kms_secret) made = NULL;
        KMS_ASSERT_OK_FATAL(kms_field_set(kms_bytes_text(rows[i].json), kms_bytes_text("k"),
                                          kms_bytes_text(rows[i].value), &made, NULL));
        const struct kms_bytes got = kms_bytes_of(kms_secret_data(made), kms_secret_len(made));
        CU_ASSERT(kms_bytes_equal(got, kms_bytes_text(rows[i].want)));
        KMS_OWN(kms_secret) again = NULL; /* what was written is read again */
        KMS_ASSERT_OK(kms_field(got, kms_bytes_text("k"), &again, NULL));
        const struct kms_bytes read = again != NULL
                                          ? kms_bytes_of(kms_secret_data(again), kms_secret_len(again))
                                          : kms_bytes_of(NULL, 0);
        CU_ASSERT(kms_bytes_equal(read, kms_bytes_text(rows[i].value)));
    }
}

static void no_object_gets_no_member(void)
{
    static const char *const rows[] = {"[]", "x", "{\"k\":1,\"k\":2}", "{"};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        kms_secret *made = NULL;
        struct kms_why why = {0};
        KMS_ASSERT_CODE(
            kms_field_set(kms_bytes_text(rows[i]), kms_bytes_text("k"), kms_bytes_text("v"), &made, &why),
            INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, "the secret is no JSON object, or has this field more than once");
        CU_ASSERT_PTR_NULL(made);
    }
}

KMS_TEST_MAIN("client/kms-env/field", {"every kind of value", every_kind_of_value},
              {"what is missing, null or twice", what_is_missing_null_or_twice},
              {"what is no object", what_is_no_object}, {"depth ends", depth_ends},
              {"a member is set", a_member_is_set}, {"no object gets no member", no_object_gets_no_member})
