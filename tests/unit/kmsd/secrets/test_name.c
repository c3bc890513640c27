/* Names, ARNs and version ids of secrets. */
#include "kmsd/secrets/name.h"

#include <string.h>

#include "tests/harness/suite.h"

#define PREFIX "arn:aws:secretsmanager:us-east-1:000000000000:"

static struct kms_arn_prefix here(void)
{
    struct kms_arn_prefix made;
    KMS_ASSERT_OK_FATAL(
        kms_arn_prefix_make("aws", "secretsmanager", "us-east-1", "000000000000", &made, NULL));
    return made;
}

static void good_and_bad_names(void)
{
    static const char *const good[] = {"a",   "a/b",         "prod/db.main", "a..b",
                                       "...", "A_b+c=d@e-f", "x-12345",      "x-1234567"};
    static const struct {
        const char *name, *words;
    } bad[] = {{"", "1 to 512"},      {"a b", "1 to 512"}, {"a\xc3\xa4", "1 to 512"}, {"/a", "no part"},
               {"a/", "no part"},     {"a//b", "no part"}, {".", "no part"},          {"..", "no part"},
               {"a/../b", "no part"}, {"./a", "no part"},  {"x-AbC123", "as ARNs do"}};
    struct kms_why why;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        KMS_ASSERT_OK(kms_secret_name_check(kms_bytes_text(good[i]), &why));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        KMS_ASSERT_CODE(kms_secret_name_check(kms_bytes_text(bad[i].name), &why), INVALID_ARGUMENT);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, bad[i].words));
    }
    char longest[514];
    memset(longest, 'x', sizeof longest);
    KMS_ASSERT_OK(kms_secret_name_check(kms_bytes_of(longest, 512), &why));
    KMS_ASSERT_CODE(kms_secret_name_check(kms_bytes_of(longest, 513), &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_secret_name_check(kms_bytes_of("a\0b", 3), &why), INVALID_ARGUMENT);
}

/* An ARN without its suffix may end in something that looks like one: both readings are tried. */
static void readings_of_a_name(void)
{
    static const struct {
        const char *named, *first, *suffix, *second;
    } rows[] = {{"prod/db", "prod/db", "", NULL},
                {PREFIX "secret:prod/db", "prod/db", "", NULL},
                {PREFIX "secret:prod/db-AbC123", "prod/db", "AbC123", "prod/db-AbC123"},
                {"prod/db-AbC123", "prod/db-AbC123", "", NULL}};
    const struct kms_arn_prefix prefix = here();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kms_secret_name names[2];
        size_t count;
        KMS_ASSERT_OK(kms_secret_name_parse(&prefix, kms_bytes_text(rows[i].named), names, &count, NULL));
        CU_ASSERT_EQUAL_FATAL(count, rows[i].second != NULL ? 2 : 1);
        CU_ASSERT_TRUE(kms_bytes_equal(names[0].name, kms_bytes_text(rows[i].first)));
        CU_ASSERT_TRUE(kms_bytes_equal(names[0].suffix, kms_bytes_text(rows[i].suffix)));
        if (rows[i].second != NULL)
            CU_ASSERT_TRUE(kms_bytes_equal(names[1].name, kms_bytes_text(rows[i].second)));
    }
}

static void arns_of_others(void)
{
    static const char *const bad[] = {"arn:aws:secretsmanager:eu-west-1:000000000000:secret:a",
                                      "arn:aws:kms:us-east-1:000000000000:key/a", PREFIX "key:a", "arn:"};
    const struct kms_arn_prefix prefix = here();
    struct kms_secret_name names[2];
    struct kms_why why;
    size_t count;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        KMS_ASSERT_CODE(kms_secret_name_parse(&prefix, kms_bytes_text(bad[i]), names, &count, &why),
                        INVALID_ARN);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, PREFIX "secret:"));
    }
    KMS_ASSERT_CODE(kms_secret_name_parse(&prefix, kms_bytes_text(PREFIX "secret:"), names, &count, &why),
                    INVALID_ARGUMENT);
}

static void suffixes_and_version_ids(void)
{
    char one[KMS_SECRET_SUFFIX_BYTES], two[KMS_SECRET_SUFFIX_BYTES], arn[KMS_SECRET_ARN_BYTES];
    const struct kms_arn_prefix prefix = here();
    struct kms_why why;
    KMS_ASSERT_OK_FATAL(kms_secret_suffix_new(one));
    KMS_ASSERT_OK_FATAL(kms_secret_suffix_new(two));
    CU_ASSERT_EQUAL(strlen(one), 6);
    CU_ASSERT_STRING_NOT_EQUAL(one, two);
    kms_secret_arn(&prefix, "a/b", "AbC123", arn);
    CU_ASSERT_STRING_EQUAL(arn, PREFIX "secret:a/b-AbC123");
    const char id[] = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF0";
    KMS_ASSERT_OK(kms_secret_version_id_check("f", kms_bytes_of(id, 32), &why));
    KMS_ASSERT_OK(kms_secret_version_id_check("f", kms_bytes_of(id, 64), &why));
    KMS_ASSERT_CODE(kms_secret_version_id_check("f", kms_bytes_of(id, 31), &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_secret_version_id_check("f", kms_bytes_of(id, 65), &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(
        kms_secret_version_id_check("the_field", kms_bytes_text("0123456789abcdef0123456789abcde/"), &why),
        INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "the_field: 32 to 64"));
}

KMS_TEST_MAIN("secrets/name", {"good and bad names", good_and_bad_names},
              {"readings of a name", readings_of_a_name}, {"ARNs of others", arns_of_others},
              {"suffixes and version ids", suffixes_and_version_ids})
