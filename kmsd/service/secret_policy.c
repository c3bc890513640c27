/* PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/grant.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/policy_check.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

enum { POLICY_BYTES = 20480 }; /* AWS quota */

char *kms_secret_policy_default(struct kms_call *call)
{
    json_t *document = json_pack(
        "{s:s, s:[{s:s, s:s, s:{s:s}, s:[s,s,s,s,s,s,s,s,s,s,s,s,s,s], s:s}]}", "Version", "2012-10-17",
        "Statement", "Sid", "SecretAdministration", "Effect", "Allow", "Principal", "AWS",
        call->identity->principal, "Action", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret*",
        "secretsmanager:DeleteSecret", "secretsmanager:RestoreSecret", "secretsmanager:RotateSecret",
        "secretsmanager:CancelRotateSecret", "secretsmanager:RewrapSecret", "secretsmanager:TagResource",
        "secretsmanager:UntagResource", "secretsmanager:PutResourcePolicy",
        "secretsmanager:DeleteResourcePolicy", "secretsmanager:GetResourcePolicy",
        "secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds", "Resource", "*");
    char *text = document != NULL ? json_dumps(document, JSON_INDENT(2)) : NULL;
    char *copy = text != NULL ? kms_arena_print(&call->arena, "%s", text) : NULL;
    free(text);
    json_decref(document);
    return copy;
}

kms_err kms_secret_policy_say(struct kms_call *call, const char *json)
{
    if (strlen(json) > POLICY_BYTES)
        return kms_call_fail(call, KMS_FAIL(MALFORMED_POLICY), "the policy of a secret has at most %d bytes",
                             POLICY_BYTES);
    char *hex = kms_call_alloc(call, 2 * KMS_DIGEST_BYTES + 1);
    if (hex == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_sha256_hex(kms_bytes_text(json), hex));
    kms_call_say(call, "resource_policy_sha256", hex);
    return KMS_OK;
}

static kms_err check_separated(struct kms_call *call, const kms_policy *policy)
{
    KMS_TRY(kms_policy_check_separation(policy, &call->why));
    return kms_policy_check_writer(policy, kms_bytes_text(call->identity->principal), &call->why);
}

kms_err kms_secret_policy_accept(struct kms_call *call, const kms_policy *policy, const char *arn)
{
    KMS_TRY(kms_separation_enforced(call, check_separated(call, policy)));
    if (call->bypass_lockout) return KMS_OK;
    return kms_policy_check_lockout(policy, kms_bytes_text(call->identity->principal), kms_bytes_text(arn),
                                    &call->why);
}

/* The document becomes the secret's. */
static kms_err put(struct kms_call *call, const char *json)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN(kms_policy) policy = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_policy_parse(KMS_POLICY_SECRET, kms_bytes_text(json), &policy, &call->why));
    KMS_TRY(kms_secret_policy_accept(call, policy, kms_call_secret(call)->arn));
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    KMS_TRY(kms_secret_set_text(&entry->stored->policy, json));
    kms_policy_unref(entry->policy);
    entry->policy = KMS_GIVE(policy);
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret_policy(&changes, call, entry);
}

kms_err kms_put_resource_policy_gather(struct kms_call *call)
{
    const Kms__V1__PutResourcePolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    call->may_bypass_lockout = true;
    call->bypass_lockout = request->bypass_policy_lockout_safety_check;
    KMS_TRY(kms_secret_policy_say(call, request->resource_policy));
    return kms_access_secret(call, KMS_ACT_PUT_RESOURCE_POLICY, request->secret_id, &access);
}

kms_err kms_put_resource_policy_act(struct kms_call *call)
{
    const Kms__V1__PutResourcePolicyRequest *request = (const void *)call->request;
    Kms__V1__PutResourcePolicyResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    return put(call, request->resource_policy);
}

kms_err kms_get_resource_policy_gather(struct kms_call *call)
{
    const Kms__V1__GetResourcePolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_GET_RESOURCE_POLICY, request->secret_id, &access);
}

kms_err kms_get_resource_policy_act(struct kms_call *call)
{
    Kms__V1__GetResourcePolicyResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->resource_policy = kms_call_secret(call)->stored->policy; /* the call holds the entry */
    return kms_secret_reply_names(call, &reply->arn, &reply->name);
}

kms_err kms_delete_resource_policy_gather(struct kms_call *call)
{
    const Kms__V1__DeleteResourcePolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    call->policy_json = kms_secret_policy_default(call);
    if (call->policy_json == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_policy_say(call, call->policy_json));
    return kms_access_secret(call, KMS_ACT_DELETE_RESOURCE_POLICY, request->secret_id, &access);
}

kms_err kms_delete_resource_policy_act(struct kms_call *call)
{
    Kms__V1__DeleteResourcePolicyResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    return put(call, call->policy_json);
}
