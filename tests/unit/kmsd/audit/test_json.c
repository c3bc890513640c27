/* Escaping: what comes out is JSON, one line, and nothing a terminal would obey. */
#include "kmsd/audit/json.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "tests/harness/suite.h"

static void put(const void *text, size_t len, size_t max_len, char out[512])
{
    struct kms_audit_json json = {.at = (uint8_t *)out, .end = (uint8_t *)out + 511};
    kms_audit_json_text(&json, kms_bytes_of(text, len), max_len);
    CU_ASSERT_FALSE(json.overflow);
    *json.at = 0;
}

static const struct {
    const char *in;
    size_t len;
    const char *out;
} table[] = {
#define ROW(in, out)                                                                                         \
    {                                                                                                        \
        in, sizeof(in) - 1, "\"" out "\""                                                                    \
    }
    ROW("", ""),
    ROW("plain", "plain"),
    ROW("longer than eight plain characters", "longer than eight plain characters"),
    ROW("a\"b", "a\\\"b"),
    ROW("back\\slash", "back\\\\slash"),
    ROW("line\nfeed", "line\\u000afeed"),
    ROW("\r\t\b\f", "\\u000d\\u0009\\u0008\\u000c"),
    ROW("nul\0nul", "nul\\u0000nul"),
    ROW("\x01\x1f", "\\u0001\\u001f"),
    ROW("del\x7f"
        "del",
        "del\\u007fdel"),
    ROW("1234567\x7f", "1234567\\u007f"),
    ROW("1234567\"", "1234567\\\""),
    ROW("\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"), /* two bytes */
    ROW("\xe2\x82\xac", "\xe2\x82\xac"),           /* three */
    ROW("\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91"),   /* four */
    ROW("\xc2\x9b"
        "31m",
        "\\u009b31m"),                                 /* C1: a terminal's CSI */
    ROW("\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"), /* line separators */
    ROW("\xe2\x80\xae", "\\u202e"),                    /* right-to-left override */
    ROW("\xe2\x81\xa6", "\\u2066"),                    /* isolate */
    ROW("\x1b[31m", "\\u001b[31m"),
    ROW("\xff", "\xef\xbf\xbd"),                                                 /* never in UTF-8 */
    ROW("a\x80z", "a\xef\xbf\xbdz"),                                             /* continuation alone */
    ROW("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"),                                 /* overlong */
    ROW("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),                 /* surrogate */
    ROW("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"), /* above U+10FFFF */
    ROW("cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd"),                           /* cut off at the end */
};

static void escapes(void)
{
    for (size_t i = 0; i < KMS_COUNT(table); i++) {
        char out[512];
        put(table[i].in, table[i].len, 400, out);
        CU_ASSERT_STRING_EQUAL(out, table[i].out);
        json_t *back = json_loads(out, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        CU_ASSERT_PTR_NOT_NULL(back);
        json_decref(back);
    }
}

/* Each byte value at each place of an eight-byte word. */
static void every_byte_everywhere(void)
{
    for (unsigned value = 0; value < 256; value++)
        for (size_t at = 0; at < 17; at++) {
            char in[17], out[512];
            memset(in, 'x', sizeof in);
            in[at] = (char)value;
            put(in, sizeof in, 400, out);
            bool plain = value >= 0x20 && value < 0x7f && value != '"' && value != '\\';
            CU_ASSERT_EQUAL(strlen(out) == sizeof in + 2, plain);
            CU_ASSERT_TRUE(kms_utf8_valid(kms_bytes_text(out)));
            json_t *back = json_loads(out, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            CU_ASSERT_PTR_NOT_NULL(back);
            json_decref(back);
        }
}

static void cuts_between_characters(void)
{
    static const struct {
        const char *in;
        size_t max;
        const char *out;
    } cuts[] = {
        {"abcdef", 6, "\"abcdef\""},
        {"abcdefg", 6, "\"abcdef\xe2\x80\xa6\""},
        {"abc\ndef", 6, "\"abc\xe2\x80\xa6\""},
        {"\xe2\x82\xac\xe2\x82\xac", 5, "\"\xe2\x82\xac\xe2\x80\xa6\""},
        {"ab\"c", 3, "\"ab\xe2\x80\xa6\""},
        {"x", 0, "\"\xe2\x80\xa6\""},
    };
    for (size_t i = 0; i < KMS_COUNT(cuts); i++) {
        char out[512];
        put(cuts[i].in, strlen(cuts[i].in), cuts[i].max, out);
        CU_ASSERT_STRING_EQUAL(out, cuts[i].out);
    }
}

static void stays_in_bounds(void)
{
    for (size_t room = 0; room < 16; room++) {
        uint8_t memory[17];
        memset(memory, 0xaa, sizeof memory);
        struct kms_audit_json json = {.at = memory, .end = memory + room};
        kms_audit_json_text(&json, kms_bytes_text("ab\ncd\"\xe2\x82\xac"), 100);
        CU_ASSERT_EQUAL(json.overflow, true);
        CU_ASSERT_EQUAL(memory[room], 0xaa);
        kms_audit_json_number(&json, 1);
        CU_ASSERT_EQUAL(memory[room], 0xaa);
    }
}

static void digits(void)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, 1234567890, UINT64_MAX};
    for (size_t i = 0; i < KMS_COUNT(numbers); i++) {
        char text[KMS_AUDIT_NUMBER_BYTES + 1] = "", want[32];
        size_t len = kms_audit_digits(numbers[i], text);
        snprintf(want, sizeof want, "%llu", (unsigned long long)numbers[i]);
        CU_ASSERT_EQUAL(len, strlen(want));
        CU_ASSERT_STRING_EQUAL(text, want);
    }
}

KMS_TEST_MAIN("audit/json", {"escapes", escapes}, {"every byte at every place", every_byte_everywhere},
              {"cuts long texts between characters", cuts_between_characters},
              {"stays in bounds", stays_in_bounds}, {"numbers", digits})
