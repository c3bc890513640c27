/* TagSecret and UntagSecret. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/secret.h"
#include "kmsd/service/tags.h"

kms_err kms_secret_tag(struct kms_call *call, kms_stored_secret *secret, const Kms__V1__Tag *tag)
{
    KMS_TRY(kms_tag_check(call, tag));
    kms_err err = kms_secret_set_tag(secret, tag->tag_key, tag->tag_value);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
        return kms_call_fail(call, err, "a secret has at most %d tags", KMS_SECRET_TAGS);
    return err;
}

kms_err kms_tag_secret_gather(struct kms_call *call)
{
    const Kms__V1__TagSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, KMS_ACT_SECRET_TAG_RESOURCE, request->secret_id, &access));
    return kms_tags_gather(call, access, request->tags, request->n_tags);
}

kms_err kms_tag_secret_act(struct kms_call *call)
{
    const Kms__V1__TagSecretRequest *request = (const void *)call->request;
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    for (size_t i = 0; i < request->n_tags; i++)
        KMS_TRY(kms_secret_tag(call, entry->stored, request->tags[i]));
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}

kms_err kms_untag_secret_gather(struct kms_call *call)
{
    const Kms__V1__UntagSecretRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_secret(call, KMS_ACT_SECRET_UNTAG_RESOURCE, request->secret_id, &access));
    return kms_untag_gather(call, access, request->tag_keys, request->n_tag_keys);
}

kms_err kms_untag_secret_act(struct kms_call *call)
{
    const Kms__V1__UntagSecretRequest *request = (const void *)call->request;
    KMS_OWN_ENTRY entry = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_secret_entry_copy(kms_call_secret(call), &entry));
    for (size_t i = 0; i < request->n_tag_keys; i++) kms_secret_drop_tag(entry->stored, request->tag_keys[i]);
    KMS_TRY(kms_change_secret(&changes, call, entry));
    return kms_change_apply_secret(&changes, call, entry);
}
