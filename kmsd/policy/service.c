/* The service policy: the same grammar, but it can grant only what concerns no single key, secret or role. */
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/compile.h"

/* "kms:CreateKey, ... and kms:GetStatus": those with the prefix of one that it does not grant. */
static void list_grantable(enum kms_action refused, char *words, size_t size)
{
    kms_actions listed = 0, all = kms_action_kind_bits(KMS_POLICY_SERVICE);
    const char *name = kms_action_name(refused);
    for (kms_actions left = all; left != 0; left &= left - 1) {
        enum kms_action action = kms_action_first(left);
        if (strncmp(kms_action_name(action), name, strcspn(name, ":")) == 0) listed |= kms_action_bit(action);
    }
    size_t count = kms_action_count(listed), used = 0;
    for (size_t i = 0; i < count && used < size; i++, listed &= listed - 1)
        used += (size_t)snprintf(words + used, size - used, "%s%s",
                                 i == 0          ? ""
                                 : i + 1 < count ? ", "
                                                 : " and ",
                                 kms_action_name(kms_action_first(listed)));
}

kms_err kms_check_service(struct kms_compile *compile, const struct kms_statement *statement)
{
    kms_actions excess = statement->deny ? 0 : statement->actions & ~kms_action_kind_bits(KMS_POLICY_SERVICE);
    if (excess != 0) {
        char known[KMS_WHY_BYTES];
        enum kms_action action = kms_action_first(excess);
        list_grantable(action, known, sizeof known);
        kms_enter(compile, statement->not_action ? "NotAction" : "Action");
        return kms_complain(compile, "it allows %s, but of these the service policy grants nothing but %s",
                            kms_action_name(action), known);
    }
    if (!statement->any_resource) { /* these actions have no ARN that another pattern could match */
        kms_enter(compile, statement->not_resource ? "NotResource" : "Resource");
        return kms_complain(compile, "in the service policy Resource must be \"*\"");
    }
    return KMS_OK;
}
