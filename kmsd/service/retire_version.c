/* RetireKeyVersion: a version that encrypts no more stops opening, too; or the way back. */
#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/describe.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/usage.h"

kms_err kms_retire_key_version_gather(struct kms_call *call)
{
    const Kms__V1__RetireKeyVersionRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_RETIRE_KEY_VERSION, request->key_id, &access));
    access->version = request->version;
    return KMS_OK;
}

static kms_err check(struct kms_call *call, const struct kms_key *key,
                     const Kms__V1__RetireKeyVersionRequest *request)
{
    uint32_t version = request->version;
    if (kms_key_version_find(key, version) == NULL)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "key %s has no version %u", key->id_text, version);
    if (version == key->version_count)
        return kms_call_fail(call, KMS_FAIL(INVALID_KEY_STATE),
                             "version %u is the one that encrypts: rotate the key first", version);
    if (!request->force && !request->restore && kms_usage_lately(call->core, key, version))
        return kms_call_fail(
            call, KMS_FAIL(KEY_VERSION_IN_USE),
            "version %u of key %s: kmsctl key usage tells by whom; force retires it nevertheless", version,
            key->id_text);
    return KMS_OK;
}

kms_err kms_retire_key_version_act(struct kms_call *call)
{
    const Kms__V1__RetireKeyVersionRequest *request = (const void *)call->request;
    Kms__V1__RetireKeyVersionResponse *reply = kms_new_reply(call);
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(check(call, call->access[0].key, request));
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    struct kms_key_version *version = &key->versions[request->version - 1];
    if ((version->retired_us == 0) != request->restore) {
        version->retired_us = request->restore ? 0 : kms_core_now_us(call->core);
        KMS_TRY(kms_change_key(&changes, key)); /* its revision guards the key as a whole */
        KMS_TRY(kms_change_version(&changes, key, request->version));
        KMS_TRY(kms_change_apply_key(&changes, call, key));
    }
    reply->key_id = kms_access_arn(call, &call->access[0]);
    Kms__V1__KeyVersion **list = kms_describe_versions(call, key, request->version, 1);
    if (reply->key_id == NULL || list == NULL) return KMS_FAIL(NO_MEMORY);
    reply->version = list[0];
    return KMS_OK;
}
