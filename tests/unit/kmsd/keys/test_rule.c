/* Approval rules: which can be, whom they name, when two are the same. */
#include "kmsd/keys/rule.h"

#include <string.h>

#include "tests/harness/suite.h"

static char long_name[KMS_RULE_NAME_BYTES + 2];
static char *const names[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"c"}};
static char *const twice[] = {(char[]){"a"}, (char[]){"b"}, (char[]){"a"}};
static char *const none[] = {(char[]){"a"}, (char[]){""}}, *const all[] = {(char[]){"*"}},
                   *const too_long[] = {long_name};

static void what_is_a_rule(void)
{
    static const struct {
        uint32_t required;
        char *const *names;
        size_t count;
        const char *words; /* NULL: a rule */
    } rows[] = {
        {1, names, 1, NULL},
        {1, names, 3, NULL},
        {3, names, 3, NULL},
        {0, names, 3, "not 0"},
        {4, names, 3, "not 4"},
        {1, names, 0, "1 to 32 principals"},
        {1, names, KMS_RULE_PRINCIPALS + 1, "1 to 32 principals"},
        {2, twice, 3, "a is named twice"},
        {1, none, 2, "1 to 511 bytes"},
        {1, all, 1, "single principals"},
        {1, too_long, 1, "1 to 511 bytes"},
    };
    memset(long_name, 'x', sizeof long_name - 1);
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_rule *rule = NULL;
        struct kms_why why = {{0}};
        kms_err err = kms_rule_new(rows[i].required, rows[i].names, rows[i].count, &rule, &why);
        CU_ASSERT(
            kms_code_is(err, rows[i].words == NULL ? KMS_E_OK : KMS_E_INVALID_ARGUMENT, __FILE__, __LINE__));
        CU_ASSERT_EQUAL(rule != NULL, rows[i].words == NULL);
        if (rows[i].words != NULL) CU_ASSERT_PTR_NOT_NULL(strstr(why.text, rows[i].words));
        kms_rule_unref(rule);
    }
    long_name[KMS_RULE_NAME_BYTES] = '\0'; /* the longest that is let in */
    struct kms_rule *rule = NULL;
    KMS_ASSERT_OK(kms_rule_new(1, too_long, 1, &rule, NULL));
    kms_rule_unref(rule);
}

static struct kms_rule *rule_of(uint32_t required, const char *a, const char *b)
{
    char *const two[] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};
    struct kms_rule *rule = NULL;
    KMS_ASSERT_OK_FATAL(kms_rule_new(required, two, b != NULL ? 2 : 1, &rule, NULL));
    return rule;
}

static void names_and_sameness(void)
{
    struct kms_rule *rules[] = {NULL,
                                rule_of(1, "a", "b"),
                                rule_of(1, "b", "a"),
                                rule_of(2, "a", "b"),
                                rule_of(1, "a", "c"),
                                rule_of(1, "a", NULL)};
    for (size_t i = 0; i < KMS_COUNT(rules); i++)
        for (size_t k = 0; k < KMS_COUNT(rules); k++) {
            bool same = i == k || (i == 1 && k == 2) || (i == 2 && k == 1);
            CU_ASSERT_EQUAL(kms_rule_equal(rules[i], rules[k]), same);
        }
    CU_ASSERT(kms_rule_names(rules[1], "a") && kms_rule_names(rules[1], "b"));
    CU_ASSERT_FALSE(kms_rule_names(rules[1], "c"));
    CU_ASSERT_FALSE(kms_rule_names(rules[1], "A"));
    CU_ASSERT_FALSE(kms_rule_names(NULL, "a"));
    struct kms_rule *other = kms_rule_ref(rules[1]);
    kms_rule_unref(rules[1]);
    CU_ASSERT(kms_rule_names(other, "b")); /* one reference is left */
    CU_ASSERT_PTR_NULL(kms_rule_ref(NULL));
    for (size_t i = 0; i < KMS_COUNT(rules); i++) kms_rule_unref(rules[i]);
}

KMS_TEST_MAIN("keys/rule", {"what is a rule", what_is_a_rule}, {"names and sameness", names_and_sameness})
