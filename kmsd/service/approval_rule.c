/* PutApprovalRule and GetApprovalRule. */
#include "kmsd/service/access.h"
#include "kmsd/service/approval_reply.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_put_approval_rule_gather(struct kms_call *call)
{
    const Kms__V1__PutApprovalRuleRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_PUT_APPROVAL_RULE, request->key_id, &access);
}

/* Everybody that a rule names must be able to approve: a name that is wrong could lock the key for good. */
static kms_err new_rule(struct kms_call *call, const Kms__V1__ApprovalRule *wanted,
                        struct kms_rule **ret_rule)
{
    const struct kms_key *key = call->access[0].key;
    struct kms_rule *rule __attribute__((cleanup(kms_rule_drop))) = NULL;
    if (wanted == NULL) return KMS_OK;
    KMS_TRY(kms_rule_new(wanted->required, wanted->principals, wanted->n_principals, &rule, &call->why));
    KMS_TRY(kms_approval_reachable(call, rule, rule->count, key->policy, key->id_text));
    *ret_rule = kms_rule_ref(rule);
    return KMS_OK;
}

kms_err kms_put_approval_rule_act(struct kms_call *call)
{
    const Kms__V1__PutApprovalRuleRequest *request = (const void *)call->request;
    const struct kms_key *old = call->access[0].key;
    struct kms_rule *rule __attribute__((cleanup(kms_rule_drop))) = NULL;
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(new_rule(call, request->approval_rule, &rule));
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    if (kms_rule_equal(rule, old->rule)) return KMS_OK;
    KMS_TRY(kms_key_copy(old, 0, &key));
    kms_rule_unref(key->rule);
    key->rule = kms_rule_ref(rule);
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_get_approval_rule_gather(struct kms_call *call)
{
    const Kms__V1__GetApprovalRuleRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_GET_APPROVAL_RULE, request->key_id, &access);
}

kms_err kms_get_approval_rule_act(struct kms_call *call)
{
    const struct kms_key *key = call->access[0].key;
    Kms__V1__GetApprovalRuleResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->approval_rule = kms_approval_rule_reply(call, key->rule);
    return key->rule == NULL || reply->approval_rule != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
