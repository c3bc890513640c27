/* Actions: names, classes, patterns. */
#include <stdio.h>

#include "kmsd/policy/compiled.h"
#include "tests/unit/kmsd/policy/fixture.h"

static void classes(void)
{
    kms_actions all = 0;
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++) {
        bool of_keys = strncmp(kms_action_name(action), "kms:", 4) == 0;
        CU_ASSERT_EQUAL(of_keys, (kms_action_kind_bits(KMS_POLICY_KEY) & kms_action_bit(action)) != 0);
        CU_ASSERT_EQUAL(!of_keys, strncmp(kms_action_name(action), "secretsmanager:", 15) == 0);
        CU_ASSERT_EQUAL(action_called(kms_action_name(action)), action); /* no name twice */
        CU_ASSERT_TRUE((kms_action_class_bits(kms_action_class_of(action)) & kms_action_bit(action)) != 0);
    }
    for (enum kms_action_class class = KMS_CLASS_ADMIN; class <= KMS_CLASS_READ; class ++) {
        CU_ASSERT_TRUE((all & kms_action_class_bits(class)) == 0);
        all |= kms_action_class_bits(class);
    }
    CU_ASSERT_TRUE(all == KMS_ALL_ACTIONS);
    CU_ASSERT_EQUAL(kms_action_count(all), KMS_ACT_COUNT);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_PUT_KEY_POLICY), KMS_CLASS_ADMIN);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_DECRYPT), KMS_CLASS_USAGE);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_PUT_RESOURCE_POLICY), KMS_CLASS_ADMIN);
    CU_ASSERT_EQUAL(kms_action_class_of(KMS_ACT_GET_SECRET_VALUE), KMS_CLASS_USAGE);
    CU_ASSERT_PTR_NULL(kms_action_name(KMS_ACT_COUNT));
}

/* Sets reach over both words of kms_actions. */
static void sets(void)
{
    kms_actions low = kms_action_bit(KMS_ACT_CREATE_KEY), high = kms_action_bit(KMS_ACT_COUNT - 1);
    CU_ASSERT_TRUE(KMS_ACT_COUNT > 64);
    CU_ASSERT_EQUAL(kms_action_first(low), KMS_ACT_CREATE_KEY);
    CU_ASSERT_EQUAL(kms_action_first(high), KMS_ACT_COUNT - 1);
    CU_ASSERT_EQUAL(kms_action_first(low | high), KMS_ACT_CREATE_KEY);
    CU_ASSERT_EQUAL(kms_action_count(low | high), 2);
}

/* Each action has one kind of document that it is about, and the service policy grants some. */
static void kinds(void)
{
    static const enum kms_policy_kind homes[] = {KMS_POLICY_KEY, KMS_POLICY_SECRET, KMS_POLICY_DATABASE_ROLE};
    kms_actions all = 0, service = 0;
    for (size_t i = 0; i < KMS_COUNT(homes); i++) {
        CU_ASSERT_TRUE((all & kms_action_kind_bits(homes[i])) == 0);
        all |= kms_action_kind_bits(homes[i]);
    }
    CU_ASSERT_TRUE(all == KMS_ALL_ACTIONS);
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
        if (kms_action_of_service(action)) service |= kms_action_bit(action);
    CU_ASSERT_TRUE(service == kms_action_kind_bits(KMS_POLICY_SERVICE));
    CU_ASSERT_TRUE((service & kms_action_class_bits(KMS_CLASS_USAGE)) == 0);
}

static void found_by_name(void)
{
    static const struct {
        const char *name;
        enum kms_action want; /* KMS_ACT_COUNT: there is none */
    } rows[] = {
        {"kms:Decrypt", KMS_ACT_DECRYPT},
        {"Decrypt", KMS_ACT_DECRYPT},
        {"TagResource", KMS_ACT_TAG_RESOURCE}, /* the short form is the keys' */
        {"kms:TagResource", KMS_ACT_TAG_RESOURCE},
        {"secretsmanager:TagResource", KMS_ACT_SECRET_TAG_RESOURCE},
        {"secretsmanager:GetSecretValue", KMS_ACT_GET_SECRET_VALUE},
        {"GetSecretValue", KMS_ACT_COUNT},
        {"kms:GetSecretValue", KMS_ACT_COUNT},
        {"secretsmanager:Decrypt", KMS_ACT_COUNT},
        {"etsmanager:GetSecretValue", KMS_ACT_COUNT},
        {"kms:decrypt", KMS_ACT_COUNT},
        {"kms:", KMS_ACT_COUNT},
        {"", KMS_ACT_COUNT},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        enum kms_action action = KMS_ACT_COUNT;
        CU_ASSERT_EQUAL(kms_action_find(rows[i].name, &action), rows[i].want != KMS_ACT_COUNT);
        CU_ASSERT_EQUAL(action, rows[i].want);
        if (action != rows[i].want) fprintf(stderr, "\n%s\n", rows[i].name);
    }
}

static void patterns(void)
{
    const kms_actions keys = kms_action_kind_bits(KMS_POLICY_KEY);
    const struct {
        const char *pattern;
        kms_actions want;
    } rows[] = {
#define BIT(symbol) ((kms_actions)1 << KMS_ACT_##symbol)
        {"*", KMS_ALL_ACTIONS},
        {"kms:*", keys},
        {"KMS:*", keys},
        {"secretsmanager:*", KMS_ALL_ACTIONS & ~keys},
        {"SecretsManager:getsecretvalue", BIT(GET_SECRET_VALUE)},
        {"secretsmanager:*Resource", BIT(SECRET_TAG_RESOURCE) | BIT(SECRET_UNTAG_RESOURCE)},
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
        CU_ASSERT_TRUE(kms_action_pattern_bits(kms_bytes_text(rows[i].pattern)) == rows[i].want);
        if (kms_action_pattern_bits(kms_bytes_text(rows[i].pattern)) != rows[i].want)
            fprintf(stderr, "\n%s\n", rows[i].pattern);
    }
    char longest[4096];
    memset(longest, '*', sizeof longest);
    CU_ASSERT_TRUE(kms_action_pattern_bits(kms_bytes_of(longest, sizeof longest)) == 0);
}

KMS_TEST_MAIN("policy action", {"every action has one name and one class", classes},
              {"sets reach over both words", sets}, {"each action has one kind of document", kinds},
              {"found by name", found_by_name}, {"patterns name actions in any case", patterns})
