/* GetAuditHead and GetAuditKey: what proves the end of the log elsewhere, and what checks that proof. */
#include "base/text.h"
#include "kms/v1/audit.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/heads.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_get_audit_head_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_GET_AUDIT_HEAD);
}

static Kms__V1__SignedHead *signed_head(struct kms_call *call, const struct kms_audit_signed_head *head)
{
    Kms__V1__SignedHead *reply = kms_call_alloc(call, sizeof *reply);
    uint8_t *signature = kms_call_alloc(call, KMS_AUDIT_SIGNATURE_TEXT);
    if (reply == NULL || signature == NULL) return NULL;
    kms__v1__signed_head__init(reply);
    reply->sequence = head->sequence;
    reply->sign_time_us = head->time_us;
    reply->hash = kms_arena_print(&call->arena, "%s", head->hash);
    reply->signing_key_id = kms_arena_print(&call->arena, "%s", head->key_id);
    if (!kms_unbase64(kms_bytes_text(head->signature), signature, &reply->signature.len)) return NULL;
    reply->signature.data = signature;
    return reply->hash != NULL && reply->signing_key_id != NULL ? reply : NULL;
}

kms_err kms_get_audit_head_act(struct kms_call *call)
{
    Kms__V1__GetAuditHeadResponse *reply = kms_new_reply(call);
    struct kms_heads_status status;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    kms_heads_status(call->core->heads, &status);
    kms_audit_head(call->core->audit, &reply->sequence, hash); /* after it: not older than what is signed */
    reply->instance_id = kms_arena_print(&call->arena, "%s", call->core->instance);
    reply->hash = kms_arena_print(&call->arena, "%s", hash);
    reply->unsigned_records = reply->sequence - (status.has_head ? status.head.sequence : 0);
    if (status.has_head) reply->signed_head = signed_head(call, &status.head);
    bool complete = reply->instance_id != NULL && reply->hash != NULL;
    return complete && (!status.has_head || reply->signed_head != NULL) ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_get_audit_key_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_GET_AUDIT_KEY);
}

kms_err kms_get_audit_key_act(struct kms_call *call)
{
    Kms__V1__GetAuditKeyResponse *reply = kms_new_reply(call);
    struct kms_hsm_status status;
    char key_id[2 * KMS_DIGEST_BYTES + 1];
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    kms_hsm_status(call->core->hsm, &status);
    if (status.audit_key_len == 0)
        return kms_call_fail(call, KMS_FAIL(ROOT_KEYS_MISSING), "the token does not hold audit-sign-1");
    const struct kms_bytes key = {status.audit_key, status.audit_key_len};
    KMS_TRY(kms_audit_key_id(key, key_id));
    reply->signing_key_id = kms_arena_print(&call->arena, "%s", key_id);
    reply->public_key_pem = kms_pem_of(call, "PUBLIC KEY", key);
    reply->public_key.data = kms_call_alloc(call, key.len);
    if (reply->signing_key_id == NULL || reply->public_key_pem == NULL || reply->public_key.data == NULL)
        return KMS_FAIL(NO_MEMORY);
    kms_copy(reply->public_key.data, key.ptr, key.len);
    reply->public_key.len = key.len;
    return KMS_OK;
}
