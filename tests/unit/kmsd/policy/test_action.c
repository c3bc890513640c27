/* Actions: names, classes, patterns. */
#include <stdio.h>

#include "kmsd/policy/compiled.h"
#include "tests/unit/kmsd/policy/fixture.h"

static void classes(void)
{
    uint64_t all = 0;
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        CU_ASSERT_EQUAL(strncmp(kms_action_name(action), "kms:", 4), 0);
        CU_ASSERT_EQUAL(action_called(kms_action_name(action)), action); /* no name twice */
        CU_ASSERT_NOT_EQUAL(kms_action_class_bits(kms_action_class_of(action)) & kms_action_bit(action), 0);
    }
    for (enum kms_action_class class = KMS_CLASS_ADMIN; class <= KMS_CLASS_READ; class ++) {
        CU_ASSERT_EQUAL(all & kms_action_class_bits(class), 0);
        all |= kms_action_class_bits(class);
    }
    CU_ASSERT_EQUAL(all, KMS_ALL_ACTIONS);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_PUT_KEY_POLICY), KMS_CLASS_ADMIN);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_DECRYPT), KMS_CLASS_USAGE);
    CU_ASSERT_PTR_NULL(kms_action_name(KMS_ACT_COUNT));
}

static void patterns(void)
{
    static const struct {
        const char *pattern;
        uint64_t want;
    } rows[] = {
#define BIT(symbol) (UINT64_C(1) << KMS_ACT_##symbol)
        {"*", KMS_ALL_ACTIONS},
        {"kms:*", KMS_ALL_ACTIONS},
        {"KMS:*", KMS_ALL_ACTIONS},
        {"kms:Encrypt", BIT(ENCRYPT)},
        {"KMS:eNCRYPT", BIT(ENCRYPT)},
        {"kms:*crypt", BIT(ENCRYPT) | BIT(DECRYPT)},
        {"kms:??crypt", BIT(ENCRYPT) | BIT(DECRYPT)},
        {"kms:*Crypt*", BIT(ENCRYPT) | BIT(DECRYPT) | BIT(REENCRYPT_FROM) | BIT(REENCRYPT_TO)},
        {"kms:ReEncrypt*", BIT(REENCRYPT_FROM) | BIT(REENCRYPT_TO)},
        {"kms:Put*", BIT(PUT_KEY_POLICY) | BIT(PUT_APPROVAL_RULE)},
        {"kms:Encrypt?", 0},
        {"kms:Encryp", 0},
        {"kms:", 0},
        {"", 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        CU_ASSERT_EQUAL(kms_action_pattern_bits(kms_bytes_text(rows[i].pattern)), rows[i].want);
        if (kms_action_pattern_bits(kms_bytes_text(rows[i].pattern)) != rows[i].want)
            fprintf(stderr, "\n%s\n", rows[i].pattern);
    }
    char longest[4096];
    memset(longest, '*', sizeof longest);
    CU_ASSERT_EQUAL(kms_action_pattern_bits(kms_bytes_of(longest, sizeof longest)), 0);
}

KMS_TEST_MAIN("policy action", {"every action has one name and one class", classes},
              {"patterns name actions in any case", patterns})
