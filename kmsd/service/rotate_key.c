/* RotateKeyOnDemand: a new version that encrypts from now on. */
#include "base/clock.h"
#include "hsm/spec.h"
#include "hsm/wrapped.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/new_version.h"
#include "kmsd/service/rotation.h"
#include "kmsd/service/seal.h"

kms_err kms_new_version(struct kms_call *call, struct kms_key *key, uint32_t version)
{
    uint8_t wrapped[KMS_HSM_WRAPPED_BYTES];
    struct kms_hsm_job job = {.op = KMS_HSM_NEW_KEY, .output = wrapped, .output_cap = sizeof wrapped};
    struct kms_key_version *to = &key->versions[version - 1];
    job.key = kms_key_for_hsm(key, to);
    kms_err err = kms_hsm_call(call->core->hsm, &job);
    if (kms_failed(err)) return kms_call_fail(call, err, "making the key material");
    struct kms_wrapped parsed;
    KMS_TRY(kms_wrapped_get(kms_bytes_of(wrapped, job.output_len), &parsed));
    to->created_us = kms_now_us();
    to->cause = KMS_CAUSE_CREATION; /* the caller knows better */
    to->root_id = parsed.root_id;
    return kms_key_set_wrapped(to, kms_bytes_of(wrapped, job.output_len));
}

kms_err kms_rotate_key_gather(struct kms_call *call)
{
    const Kms__V1__RotateKeyOnDemandRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_ROTATE_KEY_ON_DEMAND, request->key_id, &access);
}

static kms_err rotate(struct kms_call *call, const char *token, uint32_t *ret_version)
{
    const struct kms_key *old = call->access[0].key;
    struct kms_made made;
    KMS_TRY(kms_made_before(call, token, &made));
    if (made.found && !kms_id_equal(&made.key_id, &old->id)) /* the alias names another key by now */
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "client_request_token was used with another key");
    *ret_version = made.version;
    if (made.found) return KMS_OK;
    KMS_TRY(kms_rotation_check(call, old));
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_rotate_copy(call, KMS_CAUSE_ON_DEMAND, &key));
    made = (struct kms_made){.key_id = key->id, .version = key->version_count};
    KMS_TRY(kms_change_token(&changes, call, token, &made));
    *ret_version = key->version_count;
    return kms_rotate_apply(call, &changes, key);
}

kms_err kms_rotate_key_act(struct kms_call *call)
{
    const Kms__V1__RotateKeyOnDemandRequest *request = (const void *)call->request;
    Kms__V1__RotateKeyOnDemandResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(rotate(call, request->client_request_token, &reply->current_version));
    call->access[0].version = reply->current_version;
    reply->key_id = kms_access_arn(call, &call->access[0]);
    return reply->key_id != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
