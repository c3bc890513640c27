/* What a program wrote reaches the log without a value in it. */
#include "kmsd/rotators/said.h"

#include "tests/harness/suite.h"

static const char *say(const char *current, const char *fresh, const char *text, bool cut)
{
    static struct kms_rotation r;
    char room[400] = "";
    r = (struct kms_rotation){.current.bytes = kms_bytes_text(current)};
    strncpy(room, text, sizeof room - 1);
    KMS_ASSERT_OK_FATAL(kms_rotation_say(&r, kms_bytes_text(fresh), room, strlen(room), cut));
    return r.said;
}

static void values_become_stars(void)
{
    static const char object[] = "{\"user\":\"app\",\"password\":\"p\\\"ss\\\\word\",\"list\":[\"inner\"]}";
    CU_ASSERT_STRING_EQUAL(say("hunter22", "", "login hunter22 failed, hunter22!", false),
                           "login ******** failed, ********!");
    CU_ASSERT_STRING_EQUAL(say(object, "", "app: p\"ss\\word and p\\\"ss\\\\word, inner", false),
                           "app: ********* and ***********, *****");
    CU_ASSERT_STRING_EQUAL(say("", "fresh-one", "made fresh-one", false), "made *********");
    CU_ASSERT_STRING_EQUAL(say("abc", "", "abc is too short to hide", false), "abc is too short to hide");
    CU_ASSERT_STRING_EQUAL(say("", "", "two\nlines\x1b[31m\xff \n", false), "two lines [31m");
}

static void nothing_at_a_cut(void)
{
    CU_ASSERT_STRING_EQUAL(say("hunter22", "", "the password is hunte", true), "the password");
    CU_ASSERT_STRING_EQUAL(say("hunter22", "", "short", true), "");
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CU_ASSERT_EQUAL(strlen(say("", "", text, false)), KMS_ROTATION_SAID_BYTES - 1);
}

KMS_TEST_MAIN("rotators/said", {"values become stars", values_become_stars},
              {"nothing at a cut", nothing_at_a_cut})
