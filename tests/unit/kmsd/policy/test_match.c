/* Globs, ARNs and case. */
#include "kmsd/policy/match.h"

#include <stdio.h>

#include "tests/harness/suite.h"

/* '*' and '?' of the table are wildcards, '#' and '!' the literal characters. */
static struct kms_bytes pattern(const char *text, uint8_t to[64])
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        to[i] = c == '*' ? KMS_ANY_RUN : c == '?' ? KMS_ANY_ONE : c == '#' ? '*' : c == '!' ? '?' : c;
    }
    return kms_bytes_of(to, len);
}

static void globs(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything/at:all", true},
        {"**", "x", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"??", "\xc3\xa9", false}, /* one character of two bytes */
        {"?", "\xc3\xa9", true},
        {"*?", "\xe2\x82\xac", true},
        {"a*b", "ab", true},
        {"a*b", "axxb", true},
        {"a*b", "axxbc", false},
        {"a*b*c", "abbbbc", true},
        {"a*b*c", "acb", false},
        {"*abc", "ababc", true},
        {"*aab", "aaaaaaab", true},
        {"*a?b", "xxaxbayb", true},
        {"abc*", "ab", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"Abc", "abc", false},
        {"a#", "a*", true},
        {"a#", "ab", false},
        {"a!", "a?", true},
        {"a!", "ab", false},
        {"*#", "xx*", true},
    };
    uint8_t room[64];
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        bool matches = kms_pattern_match(pattern(rows[i].pattern, room), kms_bytes_text(rows[i].text));
        CU_ASSERT_EQUAL(matches, rows[i].matches);
        if (matches != rows[i].matches) fprintf(stderr, "\n%s %s\n", rows[i].pattern, rows[i].text);
    }
}

static void arns(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"arn:aws:iam::1:role/app", "arn:aws:iam::1:role/app", true},
        {"arn:aws:iam::1:role/*", "arn:aws:iam::1:role/a/b", true},
        {"arn:*:iam::1:role/x", "arn:aws-cn:iam::1:role/x", true},
        {"arn:aws:iam::*", "arn:aws:iam::1:role/x", false}, /* five parts */
        {"arn:aws:*:1:role/x", "arn:aws:iam::1:role/x", false},
        {"arn:aws:iam:*:role/x", "arn:aws:iam:eu:1:role/x", false},
        {"arn:aws:iam::*:*", "arn:aws:iam::1:role/x", true},
        {"arn:aws:iam::1:a:*", "arn:aws:iam::1:a:b:c", true}, /* the last part keeps its colons */
        {"arn:aws:iam::1:*", "cn:app", false},
        {"arn:aws:iam::1:*", "", false},
        {"*:*:*:*:*:*", "arn:aws:iam::1:role/x", true},
    };
    uint8_t room[64];
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        bool matches = kms_arn_match(pattern(rows[i].pattern, room), kms_bytes_text(rows[i].text));
        CU_ASSERT_EQUAL(matches, rows[i].matches);
        if (matches != rows[i].matches) fprintf(stderr, "\n%s %s\n", rows[i].pattern, rows[i].text);
    }
}

static void folding(void)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"", "", true},
        {"AppName", "aPPnAME", true},
        {"a", "ab", false},
        {"[", "{", false},
        {"@", "`", false},
        {"\xc3\x84rzte", "\xc3\xa4rZTE", true}, /* A-umlaut */
        {"\xc3\x97", "\xc3\xb7", false},        /* multiplication and division sign */
        {"\xc3\x9f", "\xc3\xbf", false},        /* sharp s and y with diaeresis */
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_folded_equal(kms_bytes_text(rows[i].a), kms_bytes_text(rows[i].b)),
                        rows[i].equal);
}

KMS_TEST_MAIN("policy match", {"globs match whole texts", globs}, {"ARNs match part by part", arns},
              {"case is put aside in ASCII and Latin-1", folding})
