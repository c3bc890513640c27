/* UpdateSecret: description and key. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"

/* Whoever takes the versions to another key could decrypt them: RewrapSecret does not ask again. */
static kms_err gather_old_key(struct kms_call *call, const struct kms_secret_entry *entry)
{
    struct kms_access *access;
    struct kms_id id;
    if (entry->stored->n_versions == 0 || entry->stored->key_id.len != KMS_ID_BYTES) return KMS_OK;
    kms_copy(id.bytes, entry->stored->key_id.data, KMS_ID_BYTES);
    KMS_TRY(kms_access_id(call, KMS_ACT_DECRYPT, &id, &access));
    access->via_secrets = true;
    return kms_secret_context(call, access, entry->arn, "*");
}

enum { DESCRIPTION_BYTES = 2048 };

kms_err kms_update_secret_gather(struct kms_call *call)
{
    const Kms__V1__UpdateSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, KMS_ACT_UPDATE_SECRET, request->secret_id, &access));
    if (strlen(request->description) > DESCRIPTION_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "description: at most %d bytes",
                             DESCRIPTION_BYTES);
    if (request->clear_description && request->description[0] != '\0')
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "description and clear_description exclude each other");
    if (request->kms_key_id[0] == '\0' || access->secret == NULL) return KMS_OK;
    const struct kms_secret_entry *entry = access->secret;
    KMS_TRY(kms_secret_key_gather(call, request->kms_key_id, NULL, entry->arn, "*"));
    return gather_old_key(call, entry);
}

kms_err kms_update_secret_act(struct kms_call *call)
{
    const Kms__V1__UpdateSecretRequest *request = (const void *)call->request;
    Kms__V1__UpdateSecretResponse *reply = kms_new_reply(call);
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (call->access_count > 1) KMS_TRY(kms_seal_key_check(call, call->access[1].key));
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    if (request->description[0] != '\0' || request->clear_description)
        KMS_TRY(kms_secret_set_text(&entry->stored->description, request->description));
    if (call->access_count > 1) KMS_TRY(kms_secret_set_key(entry, call->access[1].key));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    KMS_TRY(kms_change_apply_secret(&changes, call, entry));
    return kms_secret_reply_names(call, &reply->arn, &reply->name);
}
