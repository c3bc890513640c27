/* UTF-8, base64 and CRC-32C against published vectors. */
#include "base/text.h"

#include "tests/harness/suite.h"

static void utf8(void)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", true},
        {"plain", true},
        {"\xc2\x80\xdf\xbf", true},                     /* U+0080, U+07FF */
        {"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", true}, /* U+0800, U+D7FF, U+E000 */
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},     /* U+10000, U+10FFFF */
        {"\x80", false},                                /* continuation alone */
        {"\xc0\xaf", false},                            /* overlong */
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xed\xa0\x80", false}, /* surrogate */
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"a\xc2", false}, /* cut short */
        {"a\xe2\x82", false},
        {"a\xf0\x9f\x94", false},
        {"\xc2\x41", false},
        {"\xe2\x82\x41", false},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++)
        CU_ASSERT_EQUAL(kms_utf8_valid(kms_bytes_text(cases[i].text)), cases[i].valid);
    CU_ASSERT_FALSE(kms_utf8_valid(kms_bytes_of("a\0b", 3)));
}

static void base64(void)
{
    /* RFC 4648, section 10 */
    static const char *const cases[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char text[16];
        uint8_t data[16];
        size_t len = 0;
        kms_base64(kms_bytes_text(cases[i][0]), text);
        CU_ASSERT_STRING_EQUAL(text, cases[i][1]);
        CU_ASSERT_EQUAL(kms_base64_len(strlen(cases[i][0])), strlen(text));
        if (i == 0) continue;
        CU_ASSERT(kms_unbase64(kms_bytes_text(text), data, &len));
        CU_ASSERT(kms_bytes_equal(kms_bytes_of(data, len), kms_bytes_text(cases[i][0])));
    }
}

static void base64_refused(void)
{
    static const char *const cases[] = {"",         "Z",    "Zg",    "Zg=",    "Zg===", "=Zg=",
                                        "Zg==Zg==", "Z=g=", " Zg==", "Zg== ",  "Zg\n=", "Zm9v\n",
                                        "Zm-v",     "Zm_v", "====",  "Zm9\x80"};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        uint8_t data[16];
        size_t len = 77;
        CU_ASSERT_FALSE(kms_unbase64(kms_bytes_text(cases[i]), data, &len));
        CU_ASSERT_EQUAL(len, 77);
    }
}

static void crc32c(void)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof ones);
    for (unsigned i = 0; i < 32; i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_text("123456789")), 0xe3069283);
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(NULL, 0)), 0);
    /* RFC 3720, B.4; the page prints the bytes of the CRC in the order they are sent */
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(zeros, 32)), 0x8a9136aa);
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(ones, 32)), 0x62a8ab43);
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(up, 32)), 0x46dd794e);
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(down, 32)), 0x113fdb5c);
    static const uint8_t iscsi_read[48] = {0x01, 0xc0, 0,    0,    0,    0, 0, 0, 0,    0, 0, 0, 0,   0,
                                           0,    0,    0x14, 0,    0,    0, 0, 0, 0x04, 0, 0, 0, 0,   0x14,
                                           0,    0,    0,    0x18, 0x28, 0, 0, 0, 0,    0, 0, 0, 0x02};
    CU_ASSERT_EQUAL(kms_crc32c(0, kms_bytes_of(iscsi_read, 48)), 0xd9963a56);
    for (size_t cut = 0; cut <= 9; cut++) {
        uint32_t crc = kms_crc32c(0, kms_bytes_of("123456789", cut));
        CU_ASSERT_EQUAL(kms_crc32c(crc, kms_bytes_of(&"123456789"[cut], 9 - cut)), 0xe3069283);
    }
    for (size_t len = 0; len <= sizeof iscsi_read; len++) { /* with and without the processor's instruction */
        const struct kms_bytes part = kms_bytes_of(iscsi_read, len);
        CU_ASSERT_EQUAL(kms_crc32c(7, part), kms_crc32c_portable(7, part));
    }
}

static void printable(void)
{
    char text[6] = "xxxxx";
    kms_printable(kms_bytes_text("a b~"), text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "a b~");
    kms_printable(kms_bytes_of("\x1f\n\x7f\x80\0", 5), text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "?????");
    kms_printable(kms_bytes_text("longer than that"), text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "longe");
    kms_printable(kms_bytes_of(NULL, 0), text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

KMS_TEST_MAIN("base/text", {"UTF-8", utf8}, {"base64", base64}, {"base64 refused", base64_refused},
              {"CRC-32C", crc32c}, {"printable", printable})
