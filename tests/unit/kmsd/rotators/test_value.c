/* Values that are JSON objects: found, read and changed where they lie. */
#include "kmsd/rotators/value.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/suite.h"

static void what_is_an_object(void)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        {"{}", true},
        {" { } \n", true},
        {"{\"a\":1}", true},
        {"{\"a\" : [1, -0.5e+3, {\"b\":[]}, true, false, null, \"\\u00e4\\n\"], \"c\":{}}", true},
        {"{\"a\":\"\xc3\xa4\"}", true},
        {"", false},
        {"[]", false},
        {"\"a\"", false},
        {"plain", false},
        {"{", false},
        {"{\"a\"", false},
        {"{\"a\":", false},
        {"{\"a\":1", false},
        {"{\"a\":1,}", false},
        {"{\"a\":1}}", false},
        {"{\"a\":1} x", false},
        {"{a:1}", false},
        {"{\"a\":01}", false},
        {"{\"a\":1.}", false},
        {"{\"a\":-}", false},
        {"{\"a\":1e}", false},
        {"{\"a\":tru}", false},
        {"{\"a\":nulll}", false},
        {"{\"a\":\"\n\"}", false},
        {"{\"a\":\"\\x\"}", false},
        {"{\"a\":\"\\u00g0\"}", false},
        {"{\"a\":\"\xff\"}", false},
        {"{\"a\":\"x}", false},
        {"{\"a\":\"\\", false},
        {"{\"a\" 1}", false},
        {"{\"a\":[1,]}", false},
        {"{\"a\":[1 2]}", false},
        {"{\"a\":[1}", false},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        bool is = kms_value_is_object(kms_bytes_text(cases[i].text));
        if (is != cases[i].is) fprintf(stderr, "\n%s\n", cases[i].text);
        CU_ASSERT_EQUAL(is, cases[i].is);
    }
    CU_ASSERT_FALSE(kms_value_is_object((struct kms_bytes){0}));
    CU_ASSERT_FALSE(kms_value_is_object(kms_bytes_of("{\"a\":\"\\\0\"}", 10)));
    CU_ASSERT_FALSE(kms_value_is_object(kms_bytes_of("{\"a\":1\0}", 8)));
}

static void depth(void)
{
    char text[2 * KMS_VALUE_DEPTH_MAX + 20];
    for (size_t deep = KMS_VALUE_DEPTH_MAX; deep <= KMS_VALUE_DEPTH_MAX + 1; deep++) {
        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', deep);
        memset(text + 5 + deep, ']', deep);
        text[5 + 2 * deep] = '}';
        CU_ASSERT_EQUAL(kms_value_is_object(kms_bytes_of(text, 6 + 2 * deep)), deep == KMS_VALUE_DEPTH_MAX);
    }
}

static void members(void)
{
    struct kms_bytes raw = {0}, text = kms_bytes_text("{ \"a\" : \"x\\\"y\" , \"b\":5432,\"c\":{\"a\":1}, "
                                                      "\"d\":1, \"d\":2}");
    CU_ASSERT_TRUE_FATAL(kms_value_member(text, "a", &raw));
    CU_ASSERT_TRUE(kms_bytes_equal(raw, kms_bytes_text("\"x\\\"y\"")));
    CU_ASSERT_TRUE_FATAL(kms_value_member(text, "b", &raw));
    CU_ASSERT_TRUE(kms_bytes_equal(raw, kms_bytes_text("5432")));
    CU_ASSERT_TRUE_FATAL(kms_value_member(text, "c", &raw));
    CU_ASSERT_TRUE(kms_bytes_equal(raw, kms_bytes_text("{\"a\":1}")));
    CU_ASSERT_FALSE(kms_value_member(text, "d", &raw)); /* which one would be meant? */
    CU_ASSERT_FALSE(kms_value_member(text, "e", &raw));
    CU_ASSERT_FALSE(kms_value_member(kms_bytes_text("{\"a\":1"), "a", &raw));
}

static void texts(void)
{
    static const struct {
        const char *raw, *want; /* want NULL: no text */
    } cases[] = {
        {"\"\"", ""},
        {"\"abc\"", "abc"},
        {"5432", "5432"},
        {"-1.5", "-1.5"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\\u0000\"", NULL},
        {"\"\\ud83d\"", NULL},
        {"\"\\ud83dx\"", NULL},
        {"\"\\ud83d\\u0041\"", NULL},
        {"\"\\ude00\"", NULL},
        {"true", NULL},
        {"null", NULL},
        {"{}", NULL},
        {"[]", NULL},
        {"", NULL},
        {"\"a\" ", NULL},
        {"1x", NULL},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_secret) text = NULL;
        bool is = true;
        KMS_ASSERT_OK_FATAL(kms_value_text(kms_bytes_text(cases[i].raw), &text, &is));
        if (is != (cases[i].want != NULL)) fprintf(stderr, "\n%s\n", cases[i].raw);
        CU_ASSERT_EQUAL(is, cases[i].want != NULL);
        CU_ASSERT_EQUAL(text != NULL, is);
        if (text == NULL) continue;
        CU_ASSERT_STRING_EQUAL(kms_secret_data(text), cases[i].want);
        CU_ASSERT_EQUAL(kms_secret_len(text), strlen(cases[i].want) + 1);
    }
}

static void replace(void)
{
    KMS_OWN(kms_secret) text = NULL;
    struct kms_bytes object =
        kms_bytes_text("{\n  \"host\": \"db\",\n  \"password\" :  \"old\" ,\n  \"n\": 1e3\n}\n");
    KMS_ASSERT_OK_FATAL(
        kms_value_replace(object, "password", kms_bytes_text("a\"b\\c\x01\x7f\xc3\xa4"), &text));
    static const char want[] = "{\n  \"host\": \"db\",\n  \"password\" :  "
                               "\"a\\\"b\\\\c\\u0001\\u007f\xc3\xa4\" ,\n  \"n\": 1e3\n}\n";
    CU_ASSERT_EQUAL(kms_secret_len(text), strlen(want));
    CU_ASSERT_EQUAL(memcmp(kms_secret_data(text), want, strlen(want)), 0);
    KMS_OWN(kms_secret) none = NULL;
    KMS_ASSERT_CODE(kms_value_replace(object, "pass", kms_bytes_text("x"), &none), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_value_replace(object, "password", kms_bytes_text("\xff"), &none), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_value_replace(kms_bytes_text("password"), "password", kms_bytes_text("x"), &none),
                    INVALID_ARGUMENT);
    CU_ASSERT_PTR_NULL(none);
}

/* Cut anywhere: never a read outside (ASan), and never taken for whole. */
static void every_cut(void)
{
    static const char whole[] = "{\"a\":\"\\ud83d\\ude00\",\"b\":[1,{\"c\":-0.5e+1}],\"d\":null}";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        char *exact = malloc(len > 0 ? len : 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, whole, len);
        CU_ASSERT_FALSE(kms_value_is_object(kms_bytes_of(exact, len)));
        free(exact);
    }
    CU_ASSERT_TRUE(kms_value_is_object(kms_bytes_text(whole)));
}

static void note_string(void *user, struct kms_bytes inside)
{
    char *seen = user;
    strncat(seen, "|", 2);
    strncat(seen, (const char *)inside.ptr, inside.len);
}

static void each_string(void)
{
    char seen[100] = "";
    kms_value_each(kms_bytes_text("{\"a\":\"x\", \"b\" : [\"y\\n\", {\"c\":\"z\"}, 1]}"), note_string, seen);
    CU_ASSERT_STRING_EQUAL(seen, "|x|y\\n|z");
    kms_value_each(kms_bytes_text("no \"object\""), note_string, seen);
    CU_ASSERT_STRING_EQUAL(seen, "|x|y\\n|z");
}

KMS_TEST_MAIN("rotators/value", {"what is an object", what_is_an_object}, {"depth", depth},
              {"members", members}, {"texts", texts}, {"replace", replace}, {"every cut", every_cut},
              {"each string", each_string})
