/* RewrapSecret: the data keys of a secret go under the current version of its key; no value is opened. */
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

kms_err kms_rewrap_secret_gather(struct kms_call *call)
{
    const Kms__V1__RewrapSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_secret(call, KMS_ACT_REWRAP_SECRET, request->secret_id, &access);
}

static kms_err rewrap_one(struct kms_call *call, struct kms_secret_entry *entry, size_t at,
                          struct kms_access *to, struct kms_change_set *changes, uint32_t *count)
{
    struct kms_sealed_value *value;
    KMS_TRY(kms_secret_rewrap(call, entry, at, to, &value));
    if (value == NULL) return KMS_OK;
    kms_sealed_value_unref(entry->values[at]);
    entry->values[at] = value;
    ++*count;
    return kms_change_secret_value(changes, entry, at);
}

static kms_err rewrap(struct kms_call *call, struct kms_secret_entry *entry, struct kms_access *to,
                      uint32_t *count)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    for (size_t i = 0; i < entry->stored->n_versions; i++)
        KMS_TRY(rewrap_one(call, entry, i, to, &changes, count));
    if (*count == 0) return KMS_OK;
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

kms_err kms_rewrap_secret_act(struct kms_call *call)
{
    Kms__V1__RewrapSecretResponse *reply = kms_new_reply(call);
    KMS_OWN_ENTRY entry = NULL;
    struct kms_access to = {.action = KMS_ACT_GENERATE_DATA_KEY, .via_secrets = true};
    struct kms_id id;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_reply_names(call, &reply->arn, &reply->name));
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    if (entry->stored->n_versions == 0) return KMS_OK;
    kms_copy(id.bytes, entry->stored->key_id.data, entry->stored->key_id.len);
    to.key = kms_keyring_find(call->core->keys, &id);
    if (to.key == NULL)
        return kms_call_fail(call, KMS_FAIL(NOT_FOUND), "the key of %s is gone", entry->stored->name);
    kms_err err = kms_key_state_check(to.key, kms_core_key_state(call->core, to.key, call->started_us),
                                      to.action, &call->why);
    if (!kms_failed(err)) err = rewrap(call, entry, &to, &reply->rewrapped);
    kms_accesses_end(&to, 1);
    return err;
}
