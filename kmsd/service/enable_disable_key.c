/* EnableKey and DisableKey: whether a key may be used at all. */
#include "kms/v1/keys.pb-c.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static kms_err set_state(struct kms_call *call, enum kms_key_state state)
{
    const struct kms_key *old = call->access[0].key;
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    if (old->state == state) return KMS_OK;
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_key_copy(old, 0, &key));
    key->state = (uint8_t)state;
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_enable_key_gather(struct kms_call *call)
{
    const Kms__V1__EnableKeyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_ENABLE_KEY, request->key_id, &access);
}

kms_err kms_enable_key_act(struct kms_call *call)
{
    return set_state(call, KMS_STATE_ENABLED);
}

kms_err kms_disable_key_gather(struct kms_call *call)
{
    const Kms__V1__DisableKeyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_DISABLE_KEY, request->key_id, &access);
}

kms_err kms_disable_key_act(struct kms_call *call)
{
    return set_state(call, KMS_STATE_DISABLED);
}
