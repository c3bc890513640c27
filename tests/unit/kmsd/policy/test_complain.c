/* Text of a document in an error, and guesses. */
#include "kmsd/policy/complain.h"
#include "tests/harness/suite.h"

static void shown(void)
{
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("plain")).text, "plain");
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("a\x1b[31m\n\x7f")).text, "a?[31m??");
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("caf\xc3\xa9")).text, "caf\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("\xe2\x82\xac")).text, "???");
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("\xc2\x85")).text,
                           "??"); /* a control character of Latin-1 */
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_text("\xc3")).text, "\?");
    CU_ASSERT_STRING_EQUAL(kms_show(kms_bytes_of(NULL, 0)).text, "");
    struct kms_shown cut = kms_show(kms_bytes_of(long_text, sizeof long_text));
    CU_ASSERT_TRUE(strlen(cut.text) < KMS_SHOWN_BYTES && strstr(cut.text, "x...") != NULL);
    CU_ASSERT_TRUE(strlen(kms_show_short(kms_bytes_of(long_text, sizeof long_text)).text) < 48);
    for (size_t len = 0; len < 128; len++) { /* cut anywhere, also within a character */
        memset(long_text, 'x', len);
        kms_copy(long_text + len, "\xc3\xa9\xc3\xa9", 4);
        CU_ASSERT_TRUE(kms_text_printable(kms_bytes_text(kms_show(kms_bytes_of(long_text, len + 4)).text)));
    }
}

static void similar(void)
{
    static const char *const names[] = {"kms:KeySpec", "kms:KeyUsage", "aws:SourceIp"};
    CU_ASSERT_STRING_EQUAL(kms_similar(kms_bytes_text("kms:KeySpecs"), names, 1).text,
                           ", did you mean kms:KeySpec?");
    CU_ASSERT_STRING_EQUAL(kms_similar(kms_bytes_text("aws:sourceIP"), names, 3).text,
                           ", did you mean aws:SourceIp?");
    CU_ASSERT_STRING_EQUAL(kms_similar(kms_bytes_text("kms:KeySage"), names, 3).text,
                           ", did you mean kms:KeyUsage or kms:KeySpec?");
    CU_ASSERT_STRING_EQUAL(kms_similar(kms_bytes_text("aws:PrincipalOrgID"), names, 3).text, "");
    CU_ASSERT_STRING_EQUAL(kms_similar(kms_bytes_text(""), names, 3).text, "");
}

KMS_TEST_MAIN("policy complain", {"foreign text is made harmless", shown},
              {"near names are proposed", similar})
