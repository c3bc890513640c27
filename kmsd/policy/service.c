/* The service policy: the same grammar, but it can grant only what concerns no single key. */
#include <stdio.h>

#include "kmsd/policy/compile.h"

static const enum kms_action grantable[] = {KMS_ACT_CREATE_KEY,
                                            KMS_ACT_LIST_KEYS,
                                            KMS_ACT_LIST_ALIASES,
                                            KMS_ACT_GENERATE_RANDOM,
                                            KMS_ACT_GET_STATUS,
                                            KMS_ACT_SIMULATE_POLICY,
                                            KMS_ACT_LIST_RETIRABLE_GRANTS,
                                            KMS_ACT_ROTATE_ROOT,
                                            KMS_ACT_GET_ROOT_STATUS,
                                            KMS_ACT_DESTROY_ROOT,
                                            KMS_ACT_GET_AUDIT_HEAD,
                                            KMS_ACT_GET_AUDIT_KEY,
                                            KMS_ACT_LIST_AUDIT_RECORDS};
enum { GRANTABLE = sizeof grantable / sizeof *grantable };

bool kms_action_of_service(enum kms_action action)
{
    for (size_t i = 0; i < GRANTABLE; i++)
        if (grantable[i] == action) return true;
    return false;
}

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

kms_err kms_check_service(struct kms_compile *compile, const struct kms_statement *statement)
{
    uint64_t excess = statement->deny ? 0 : statement->actions;
    for (size_t i = 0; i < GRANTABLE; i++) excess &= ~kms_action_bit(grantable[i]);
    if (excess != 0) {
        char known[KMS_WHY_BYTES];
        list_grantable(known, sizeof known);
        kms_enter(compile, statement->not_action ? "NotAction" : "Action");
        return kms_complain(compile, "it allows %s, but the service policy grants nothing but %s",
                            kms_action_name((enum kms_action)__builtin_ctzll(excess)), known);
    }
    if (!statement->any_resource) { /* these actions have no ARN that another pattern could match */
        kms_enter(compile, statement->not_resource ? "NotResource" : "Resource");
        return kms_complain(compile, "in the service policy Resource must be \"*\"");
    }
    return KMS_OK;
}
