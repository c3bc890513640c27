/* The kinds of documents: what each is attached to, and what writes it. */
#include "kmsd/policy/compiled.h"

static const struct kms_kind_row rows[KMS_POLICY_KIND_COUNT] = {
    [KMS_POLICY_KEY] = {"a key policy", "key", "kms", KMS_ACT_PUT_KEY_POLICY},
    [KMS_POLICY_SERVICE] = {"the service policy", "key", "kms", KMS_ACT_COUNT}, /* a file of root's */
    [KMS_POLICY_SECRET] = {"the resource policy of a secret", "secret", "secretsmanager",
                           KMS_ACT_PUT_RESOURCE_POLICY},
    [KMS_POLICY_DATABASE_ROLE] = {"the policy of a database role", "database role", "secretsmanager",
                                  KMS_ACT_PUT_DATABASE_ROLE},
};

const struct kms_kind_row *kms_kind_row(enum kms_policy_kind kind)
{
    return &rows[kind];
}

const char *kms_policy_kind_text(enum kms_policy_kind kind)
{
    return rows[kind].text;
}
