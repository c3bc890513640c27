/* PutKeyPolicy and GetKeyPolicy. */
#include <string.h>

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/approval.h"
#include "kmsd/service/change.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/policy_check.h"
#include "kmsd/service/seal.h"

kms_err kms_put_key_policy_gather(struct kms_call *call)
{
    const Kms__V1__PutKeyPolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    call->may_bypass_lockout = true;
    call->bypass_lockout = request->bypass_policy_lockout_safety_check;
    KMS_TRY(kms_policy_say(call, request->policy));
    return kms_access_named(call, KMS_ACT_PUT_KEY_POLICY, request->key_id, &access);
}

kms_err kms_put_key_policy_act(struct kms_call *call)
{
    const Kms__V1__PutKeyPolicyRequest *request = (const void *)call->request;
    KMS_OWN_KEY key = NULL;
    KMS_OWN(kms_policy) policy = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    kms_documents *documents = kms_keyring_documents(call->core->keys);
    KMS_TRY(kms_documents_policy(documents, request->policy, &policy, &call->why));
    const struct kms_key *old = call->access[0].key;
    KMS_TRY(kms_policy_accept(call, policy, old->grants, old->id_text));
    if (old->rule != NULL && !call->bypass_lockout)
        KMS_TRY(kms_approval_reachable(call, old->rule, old->rule->required, policy, old->id_text));
    KMS_TRY(kms_key_copy(old, 0, &key));
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    kms_policy_unref(key->policy);
    key->policy = KMS_GIVE(policy);
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_get_key_policy_gather(struct kms_call *call)
{
    const Kms__V1__GetKeyPolicyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_GET_KEY_POLICY, request->key_id, &access);
}

kms_err kms_get_key_policy_act(struct kms_call *call)
{
    Kms__V1__GetKeyPolicyResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->policy = (char *)(uintptr_t)kms_policy_source(call->access[0].key->policy); /* the call holds it */
    reply->revision = call->access[0].key->revision;
    return KMS_OK;
}
