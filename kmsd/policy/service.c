/* The service policy: the same grammar, but it can grant only what concerns no single key. */
#include <stdio.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/complain.h"

static const enum kms_action grantable[] = {KMS_ACT_CREATE_KEY,   KMS_ACT_LIST_KEYS,
                                            KMS_ACT_LIST_ALIASES, KMS_ACT_GENERATE_RANDOM,
                                            KMS_ACT_GET_STATUS,   KMS_ACT_SIMULATE_POLICY};
enum { GRANTABLE = sizeof grantable / sizeof *grantable };

/* "kms:CreateKey, ... and kms:GetStatus" */
static void list_grantable(char *words, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < GRANTABLE && used < size; i++)
        used += (size_t)snprintf(words + used, size - used, "%s%s",
                                 i == 0              ? ""
                                 : i + 1 < GRANTABLE ? ", "
                                                     : " and ",
                                 kms_action_name(grantable[i]));
}

static kms_err check_statement(const struct kms_statement *statement, struct kms_why *why)
{
    struct kms_shown name = kms_show(kms_bytes_text(statement->name));
    uint64_t excess = statement->deny ? 0 : statement->actions;
    for (size_t i = 0; i < GRANTABLE; i++) excess &= ~kms_action_bit(grantable[i]);
    if (excess != 0) {
        char words[256];
        list_grantable(words, sizeof words);
        kms_why_set(why, "statement \"%s\" allows %s: the service policy grants nothing but %s", name.text,
                    kms_action_name((enum kms_action)__builtin_ctzll(excess)), words);
        return KMS_FAIL(MALFORMED_POLICY);
    }
    if (!statement->any_resource) { /* these actions have no ARN that another pattern could match */
        kms_why_set(why, "statement \"%s\": in the service policy Resource must be \"*\"", name.text);
        return KMS_FAIL(MALFORMED_POLICY);
    }
    return KMS_OK;
}

kms_err kms_policy_parse_service(struct kms_bytes json, kms_policy **ret_policy, struct kms_why *why)
{
    KMS_OWN(kms_policy) policy = NULL;
    KMS_TRY(kms_policy_parse(json, &policy, why));
    for (size_t i = 0; i < policy->statement_count; i++)
        KMS_TRY(check_statement(&policy->statements[i], why));
    *ret_policy = KMS_GIVE(policy);
    return KMS_OK;
}
