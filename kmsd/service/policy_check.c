/* Checks of a policy at the door. */
#include "kmsd/service/policy_check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

kms_err kms_policy_accept(struct kms_call *call, const char *json, bool bypass_lockout,
                          kms_policy **ret_policy)
{
    KMS_OWN(kms_policy) policy = NULL;
    KMS_TRY(kms_policy_parse(kms_bytes_text(json), &policy, &call->why));
    kms_err separated = kms_policy_check_separation(policy, &call->why);
    if (kms_failed(separated) &&
        !(call->core->separation_warn && kms_is(separated, KMS_E_POLICY_NOT_SEPARATED)))
        return separated;
    if (kms_failed(separated))
        call->noted =
            kms_arena_print(&call->arena, "accepted under policy.separation=warn: %s", call->why.text);
    call->why.text[0] = '\0';
    if (!bypass_lockout)
        KMS_TRY(kms_policy_check_lockout(policy, kms_bytes_text(call->identity->principal),
                                         (struct kms_bytes){0}, &call->why));
    *ret_policy = KMS_GIVE(policy);
    return KMS_OK;
}

char *kms_policy_default(struct kms_call *call)
{
    json_t *document =
        json_pack("{s:s, s:[{s:s, s:s, s:{s:s}, s:[s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s], s:s}]}", "Version",
                  "2012-10-17", "Statement", "Sid", "KeyAdministration", "Effect", "Allow", "Principal",
                  "AWS", call->identity->principal, "Action", "kms:CreateAlias", "kms:UpdateAlias",
                  "kms:DeleteAlias", "kms:PutKeyPolicy", "kms:EnableKey*", "kms:DisableKey*",
                  "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion",
                  "kms:TagResource", "kms:UntagResource", "kms:UpdateKeyDescription",
                  "kms:*ImportKeyMaterial", "kms:Describe*", "kms:Get*", "kms:List*", "Resource", "*");
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    char *copy = text != NULL ? kms_arena_print(&call->arena, "%s", text) : NULL;
    free(text);
    json_decref(document);
    return copy;
}
