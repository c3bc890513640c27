/* Random passwords: what may be in them, what must be, and that nothing is likelier than it should be. */
#include "kmsd/rotators/random.h"

#include <ctype.h>
#include <stdio.h>

#include "tests/harness/suite.h"

static bool matches(const struct kms_password_rules *rules, const char *want)
{
    KMS_OWN(kms_secret) p = NULL;
    KMS_ASSERT_OK_FATAL(kms_password_new(rules, &p, NULL));
    CU_ASSERT_EQUAL(kms_secret_len(p), rules->length);
    for (size_t i = 0; i < kms_secret_len(p); i++)
        if (strchr(want, kms_secret_data(p)[i]) == NULL || kms_secret_data(p)[i] == 0) return false;
    return true;
}

static void only_what_is_left(void)
{
    struct kms_password_rules r = {.length = 4096, .exclude_punctuation = true, .exclude_numbers = true};
    CU_ASSERT_TRUE(matches(&r, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"));
    r.exclude_uppercase = true;
    CU_ASSERT_TRUE(matches(&r, "abcdefghijklmnopqrstuvwxyz"));
    r.exclude_characters = kms_bytes_text("abcdefghijklmnopqrstuvw");
    CU_ASSERT_TRUE(matches(&r, "xyz"));
    r.include_space = true;
    CU_ASSERT_TRUE(matches(&r, "xyz "));
    r = (struct kms_password_rules){.length = 4096, .alphabet = kms_bytes_text("01 aa")};
    CU_ASSERT_TRUE(matches(&r, "01 a"));
    r.exclude_characters = kms_bytes_text("0");
    CU_ASSERT_TRUE(matches(&r, "1 a"));
    r.exclude_lowercase = true;
    CU_ASSERT_TRUE(matches(&r, "1 "));
}

/* Four characters of four kinds: each kind once, every time. */
static void each_kind_when_required(void)
{
    const struct kms_password_rules r = {.length = 4, .require_each_included_type = true};
    for (int i = 0; i < 200; i++) {
        KMS_OWN(kms_secret) p = NULL;
        KMS_ASSERT_OK_FATAL(kms_password_new(&r, &p, NULL));
        int upper = 0, lower = 0, digit = 0, other = 0;
        for (size_t k = 0; k < 4; k++) {
            uint8_t c = kms_secret_data(p)[k];
            upper += isupper(c) != 0;
            lower += islower(c) != 0;
            digit += isdigit(c) != 0;
            other += ispunct(c) != 0;
        }
        CU_ASSERT(upper == 1 && lower == 1 && digit == 1 && other == 1);
    }
}

/* A kind that has no character left is not required. */
static void an_emptied_kind_is_not_included(void)
{
    const struct kms_password_rules r = {
        .length = 3, .require_each_included_type = true, .exclude_characters = kms_bytes_text("0123456789")};
    KMS_ASSERT_OK(kms_password_check(&r, NULL));
}

/* 62 does not divide 256: without rejection the first 8 characters would come a quarter more often. Pearson's
 * statistic over 61 degrees of freedom is above 131 once in a million runs, and would be above 1,000 then. */
static void unbiased(void)
{
    enum { ROUNDS = 50, COUNT = 62 };
    const struct kms_password_rules r = {.length = 4096, .exclude_punctuation = true};
    double seen[128] = {0}, statistic = 0, want = ROUNDS * 4096.0 / COUNT;
    for (int i = 0; i < ROUNDS; i++) {
        KMS_OWN(kms_secret) p = NULL;
        KMS_ASSERT_OK_FATAL(kms_password_new(&r, &p, NULL));
        for (size_t k = 0; k < r.length; k++) seen[kms_secret_data(p)[k] & 127]++;
    }
    for (int c = 0; c < 128; c++)
        if (isalnum(c)) statistic += (seen[c] - want) * (seen[c] - want) / want;
    if (statistic >= 131) fprintf(stderr, "\n%f\n", statistic);
    CU_ASSERT(statistic < 131);
}

static void what_is_refused(void)
{
    static const struct {
        struct kms_password_rules rules;
        const char *why;
    } cases[] = {
        {{.length = 0}, "1 to 4096"},
        {{.length = 4097}, "1 to 4096"},
        {{.length = 3, .require_each_included_type = true}, "too short for one character of each"},
        {{.length = 4, .require_each_included_type = true, .include_space = true}, "too short"},
        {{.length = 8,
          .exclude_numbers = true,
          .exclude_lowercase = true,
          .exclude_uppercase = true,
          .exclude_punctuation = true},
         "no character is left"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_secret) p = NULL;
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(kms_password_new(&cases[i].rules, &p, &why), INVALID_ARGUMENT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].why));
        CU_ASSERT_PTR_NULL(p);
    }
    struct kms_password_rules r = {.length = 8, .alphabet = kms_bytes_text("ab\n")};
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(kms_password_check(&r, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "printable ASCII"));
    r.alphabet = kms_bytes_text("ab");
    r.exclude_characters = kms_bytes_text("abc");
    KMS_ASSERT_CODE(kms_password_check(&r, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "no character is left to make a password of");
}

KMS_TEST_MAIN("rotators/random", {"only what is left", only_what_is_left},
              {"each kind when required", each_kind_when_required},
              {"an emptied kind is not included", an_emptied_kind_is_not_included}, {"unbiased", unbiased},
              {"what is refused", what_is_refused})
