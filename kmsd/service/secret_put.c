/* PutSecretValue: a new version; the same one a second time changes nothing. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

kms_err kms_put_secret_value_gather(struct kms_call *call)
{
    const Kms__V1__PutSecretValueRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_secret_plain plain;
    KMS_TRY(kms_access_secret(call, KMS_ACT_PUT_SECRET_VALUE, request->secret_id, &access));
    KMS_TRY(kms_secret_plain_of(call, request->value, &plain));
    if (request->n_version_stages > KMS_SECRET_STAGES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "version_stages: at most %d",
                             KMS_SECRET_STAGES);
    KMS_TRY(kms_secret_version_gather(call, request->client_request_token));
    if (access->secret == NULL) return KMS_OK;
    return kms_secret_key_gather(call, "", access->secret, access->secret->arn, call->secret_version);
}

/* Who wrote a version may write it again; nobody else learns by trying what is in it. */
static kms_err check_same(struct kms_call *call, const Kms__V1__PutSecretValueRequest *request, size_t at)
{
    const struct kms_secret_entry *entry = kms_call_secret(call);
    const kms_stored_secret_version *version = entry->stored->versions[at];
    struct kms_secret_plain sent, stored;
    if (strcmp(version->creator, call->identity->principal) != 0)
        return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "version %s was written by another principal",
                             version->id);
    KMS_TRY(kms_secret_plain_of(call, request->value, &sent));
    KMS_TRY(kms_secret_open_now(call, entry, at, &stored));
    if (kms_secret_plain_same(&sent, &stored)) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(ALREADY_EXISTS), "version %s has another value", version->id);
}

static kms_err put(struct kms_call *call, const Kms__V1__PutSecretValueRequest *request,
                   struct kms_secret_entry **ret_entry)
{
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    struct kms_secret_plain plain;
    struct kms_sealed_value *value;
    struct kms_access *key = &call->access[1];
    KMS_TRY(kms_secret_plain_of(call, request->value, &plain));
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    KMS_TRY(kms_secret_key_need(call, key, &changes));
    if (entry->stored->key_id.len == 0) KMS_TRY(kms_secret_set_key(entry, key->key));
    KMS_TRY(kms_secret_seal(call, key, &plain, &value));
    KMS_TRY(kms_secret_add_version(call, &changes, entry, value, request->version_stages,
                                   request->n_version_stages));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    KMS_TRY(kms_change_apply_secret(&changes, call, entry));
    KMS_TRY(kms_secret_key_made(call, key));
    *ret_entry = KMS_GIVE(entry);
    return KMS_OK;
}

static kms_err fill(struct kms_call *call, const struct kms_secret_entry *entry,
                    Kms__V1__PutSecretValueResponse *reply)
{
    size_t at = kms_secret_version_at(entry->stored, call->secret_version);
    if (at == SIZE_MAX) return KMS_FAIL(INTERNAL);
    const kms_stored_secret_version *version = entry->stored->versions[at];
    reply->arn = kms_arena_print(&call->arena, "%s", entry->arn);
    reply->name = kms_arena_print(&call->arena, "%s", entry->stored->name);
    reply->version_id = kms_arena_print(&call->arena, "%s", version->id);
    return kms_secret_reply_stages(call, version, &reply->version_stages, &reply->n_version_stages);
}

kms_err kms_put_secret_value_act(struct kms_call *call)
{
    const Kms__V1__PutSecretValueRequest *request = (const void *)call->request;
    Kms__V1__PutSecretValueResponse *reply = kms_new_reply(call);
    const struct kms_secret_entry *old = kms_call_secret(call);
    KMS_OWN_ENTRY entry = NULL;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    size_t at = kms_secret_version_at(old->stored, call->secret_version);
    if (at != SIZE_MAX)
        KMS_TRY(check_same(call, request, at));
    else
        KMS_TRY(put(call, request, &entry));
    return fill(call, entry != NULL ? entry : old, reply);
}
