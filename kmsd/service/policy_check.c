/* Checks of a policy at the door. */
#include "kmsd/service/policy_check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/service/grant_check.h"

kms_err kms_separation_enforced(struct kms_call *call, kms_err err)
{
    if (!kms_is(err, KMS_E_POLICY_NOT_SEPARATED) || !call->core->separation_warn) return err;
    call->noted = kms_arena_print(&call->arena, "accepted under policy.separation=warn: %s", call->why.text);
    call->why.text[0] = '\0';
    return KMS_OK;
}

static kms_err check_separated(struct kms_call *call, const kms_policy *policy, kms_grants *grants)
{
    KMS_TRY(kms_policy_check_separation(policy, &call->why));
    KMS_TRY(kms_policy_check_writer(policy, kms_bytes_text(call->identity->principal), &call->why));
    return kms_grants_check_policy(grants, policy, &call->why);
}

kms_err kms_policy_accept(struct kms_call *call, const kms_policy *policy, kms_grants *grants,
                          const char *key_id_text)
{
    KMS_TRY(kms_separation_enforced(call, check_separated(call, policy, grants)));
    if (call->bypass_lockout) return KMS_OK;
    char arn[KMS_ARN_BYTES];
    kms_key_arn(&call->core->arn, key_id_text, arn);
    return kms_policy_check_lockout(policy, kms_bytes_text(call->identity->principal), kms_bytes_text(arn),
                                    &call->why);
}

kms_err kms_policy_say(struct kms_call *call, const char *json)
{
    char *hex = kms_call_alloc(call, 2 * KMS_DIGEST_BYTES + 1);
    if (hex == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_sha256_hex(kms_bytes_text(json), hex));
    kms_call_say(call, "key_policy_sha256", hex);
    return KMS_OK;
}

char *kms_policy_default(struct kms_call *call)
{
    json_t *document = json_pack(
        "{s:s, s:[{s:s, s:s, s:{s:s}, s:[s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s], s:s}]}", "Version",
        "2012-10-17", "Statement", "Sid", "KeyAdministration", "Effect", "Allow", "Principal", "AWS",
        call->identity->principal, "Action", "kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias",
        "kms:PutKeyPolicy", "kms:PutApprovalRule", "kms:ApproveRequest", "kms:RejectRequest",
        "kms:EnableKey*", "kms:DisableKey*", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion",
        "kms:CancelKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateKeyDescription",
        "kms:*ImportKeyMaterial", "kms:Describe*", "kms:Get*", "kms:List*", "kms:SimulatePolicy", "Resource",
        "*");
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    char *copy = text != NULL ? kms_arena_print(&call->arena, "%s", text) : NULL;
    free(text);
    json_decref(document);
    return copy;
}
