/* One secret for the tests. */
#include "tests/unit/kmsd/secrets/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/suite.h"

#define POLICY                                                                                               \
    "{\"Statement\":[{\"Sid\":\"S\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app\"},\"Action\":"        \
    "\"secretsmanager:GetSecretValue\",\"Resource\":\"*\"}]}"

struct kms_arn_prefix secret_prefix(void)
{
    struct kms_arn_prefix prefix;
    KMS_ASSERT_OK_FATAL(
        kms_arn_prefix_make("aws", "secretsmanager", "us-east-1", "000000000000", &prefix, NULL));
    return prefix;
}

struct kms_secret_entry *secret_of(const char *name, size_t versions)
{
    struct kms_arn_prefix prefix = secret_prefix();
    struct kms_secret_entry *entry;
    kms_stored_secret *stored = malloc(sizeof *stored);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stored);
    kms__store__v1__stored_secret__init(stored);
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&stored->name, name));
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&stored->suffix, "AbC123"));
    KMS_ASSERT_OK_FATAL(kms_secret_set_text(&stored->policy, POLICY));
    KMS_ASSERT_OK_FATAL(kms_secret_entry_new(&prefix, stored, &entry));
    for (size_t i = 0; i < versions; i++) {
        char id[33];
        struct kms_sealed_value *value;
        kms_stored_secret_value *body = malloc(sizeof *body);
        CU_ASSERT_PTR_NOT_NULL_FATAL(body);
        kms__store__v1__stored_secret_value__init(body);
        body->sealed = (ProtobufCBinaryData){.data = malloc(40), .len = 40};
        CU_ASSERT_PTR_NOT_NULL_FATAL(body->sealed.data);
        memset(body->sealed.data, 7, 40);
        KMS_ASSERT_OK_FATAL(kms_sealed_value_new(body, &value));
        snprintf(id, sizeof id, "%032zu", i);
        KMS_ASSERT_OK_FATAL(kms_secret_entry_add(entry, id, "writer", 1000 + i, value));
    }
    entry->revision = 1;
    return entry;
}
