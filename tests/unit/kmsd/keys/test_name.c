/* How keys are named: id, alias, ARN; what is no name says why. */
#include "kmsd/keys/name.h"

#include <stdio.h>

#include "tests/unit/kmsd/keys/world.h"

#define PREFIX "arn:aws:kms:us-east-1:000000000000:"
#define ID     "abcd0000-0000-4000-8000-000000000001"

static struct kms_arn_prefix prefix(void)
{
    struct kms_arn_prefix made = {.len = 0};
    KMS_ASSERT_OK_FATAL(kms_arn_prefix_make("aws", "kms", "us-east-1", "000000000000", &made, NULL));
    return made;
}

static void names(void)
{
    static const struct {
        const char *named, *alias; /* alias NULL: key 1 by id */
    } good[] = {
        {ID, NULL},
        {"ABCD0000-0000-4000-8000-00000000000"
         "1",
         NULL},
        {PREFIX "key/" ID, NULL},
        {PREFIX "key/ABCD0000-0000-4000-8000-000000000001", NULL},
        {"alias/app", "alias/app"},
        {PREFIX "alias/app", "alias/app"},
        {"alias/A-z_0/9", "alias/A-z_0/9"},
        {"alias/aws", "alias/aws"},
        {"alias/awsx/y", "alias/awsx/y"},
    };
    struct kms_arn_prefix here = prefix();
    struct kms_id one = id_of(1);
    for (size_t i = 0; i < KMS_COUNT(good); i++) {
        struct kms_key_name name = {.alias = {0}};
        KMS_ASSERT_OK(kms_key_name_parse(&here, kms_bytes_text(good[i].named), &name, NULL));
        if (good[i].alias == NULL) {
            CU_ASSERT(name.alias.len == 0 && kms_id_equal(&name.id, &one));
        } else
            CU_ASSERT(kms_bytes_equal(name.alias, kms_bytes_text(good[i].alias)));
    }
}

#define TEXT(s) s, sizeof(s) - 1

static void no_names(void)
{
    static const struct {
        const char *named;
        size_t len;
        enum kms_code code;
        const char *word;
    } bad[] = {
        {TEXT(""), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT("key/" ID), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(ID "0"), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(ID "\0"), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(" " ID), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT("Alias/app"), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(PREFIX "key/alias/app"), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(PREFIX "key/"), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT("arn:"), KMS_E_INVALID_ARN, PREFIX},
        {TEXT("arn:aws:kms:eu-west-1:000000000000:key/" ID), KMS_E_INVALID_ARN, PREFIX},
        {TEXT("arn:aws:kms:us-east-1:000000000001:key/" ID), KMS_E_INVALID_ARN, PREFIX},
        {TEXT("arn:aws:s3:us-east-1:000000000000:key/" ID), KMS_E_INVALID_ARN, PREFIX},
        {TEXT("arn:aws-cn:kms:us-east-1:000000000000:key/" ID), KMS_E_INVALID_ARN, PREFIX},
        {TEXT("ARN:aws:kms:us-east-1:000000000000:key/" ID), KMS_E_INVALID_ARGUMENT, "UUID"},
        {TEXT(PREFIX), KMS_E_INVALID_ARN, "key/ID"},
        {TEXT(PREFIX ID), KMS_E_INVALID_ARN, "key/ID"},
        {TEXT(PREFIX "Key/" ID), KMS_E_INVALID_ARN, "key/ID"},
        {TEXT("alias/"), KMS_E_INVALID_ALIAS_NAME, "250"},
        {TEXT("alias/a b"), KMS_E_INVALID_ALIAS_NAME, "250"},
        {TEXT("alias/a.b"), KMS_E_INVALID_ALIAS_NAME, "250"},
        {TEXT("alias/\xc3\xa4"), KMS_E_INVALID_ALIAS_NAME, "250"},
        {TEXT("alias/a\0b"), KMS_E_INVALID_ALIAS_NAME, "250"},
    };
    struct kms_arn_prefix here = prefix();
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        struct kms_key_name name;
        struct kms_why why = {{0}};
        kms_err err = kms_key_name_parse(&here, kms_bytes_of(bad[i].named, bad[i].len), &name, &why);
        CU_ASSERT(kms_code_is(err, bad[i].code, __FILE__, __LINE__));
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, bad[i].word));
        if (err.code != bad[i].code) printf("\n%zu: %s", i, bad[i].named);
    }
}

static void longest_alias(void)
{
    char name[KMS_ALIAS_BYTES + 1] = "alias/";
    memset(name + 6, 'n', sizeof name - 6);
    KMS_ASSERT_OK(kms_alias_name_check(kms_bytes_of(name, 7), NULL));
    KMS_ASSERT_OK(kms_alias_name_check(kms_bytes_of(name, 6 + 250), NULL));
    KMS_ASSERT_CODE(kms_alias_name_check(kms_bytes_of(name, 6 + 251), NULL), INVALID_ALIAS_NAME);
    KMS_ASSERT_CODE(kms_alias_name_check(kms_bytes_of(name, 6), NULL), INVALID_ALIAS_NAME);
    KMS_ASSERT_CODE(kms_alias_name_check((struct kms_bytes){0}, NULL), INVALID_ALIAS_NAME);
}

static void arns(void)
{
    char arn[KMS_ARN_BYTES], name[KMS_ALIAS_BYTES] = "alias/";
    memset(name + 6, 'n', 250);
    struct kms_arn_prefix here = prefix();
    kms_key_arn(&here, ID, arn);
    CU_ASSERT_STRING_EQUAL(arn, PREFIX "key/" ID);
    const char *most = "123456789012345678901234";
    KMS_ASSERT_OK(kms_arn_prefix_make(most, "kms", most, most, &here, NULL));
    kms_alias_arn(&here, name, arn);
    CU_ASSERT_EQUAL(strlen(arn), here.len + 256); /* the longest of all is not cut */
    CU_ASSERT_STRING_EQUAL(arn + here.len, name);
    struct kms_key_name parsed;
    KMS_ASSERT_OK(kms_key_name_parse(&here, kms_bytes_text(arn), &parsed, NULL));
}

static void prefixes(void)
{
    static const char *const bad[][3] = {{"", "r", "a"},
                                         {"p", "", "a"},
                                         {"p", "r", ""},
                                         {"p:", "r", "a"},
                                         {"p", "r:r", "a"},
                                         {"p", "r", ":"},
                                         {"p", "r", "1234567890123456789012345"}};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        struct kms_arn_prefix made;
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(kms_arn_prefix_make(bad[i][0], "kms", bad[i][1], bad[i][2], &made, &why),
                        CONFIG_INVALID);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "arn.partition"));
    }
}

KMS_TEST_MAIN("keys/name", {"names", names}, {"no names", no_names}, {"longest alias", longest_alias},
              {"ARNs", arns}, {"prefixes", prefixes})
