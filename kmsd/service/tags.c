/* UpdateKeyDescription, TagResource, UntagResource, ListResourceTags: what people write about a key. */
#include "kmsd/service/tags.h"

#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/change.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { TAG_KEY_BYTES = 128, TAG_VALUE_BYTES = 256 };

kms_err kms_tag_check(struct kms_call *call, const Kms__V1__Tag *tag)
{
    size_t len = strlen(tag->tag_key);
    if (len == 0 || len > TAG_KEY_BYTES || strncmp(tag->tag_key, "aws:", 4) == 0)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "tag_key: 1 to %d bytes, not \"aws:...\"",
                             TAG_KEY_BYTES);
    if (strlen(tag->tag_value) > TAG_VALUE_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "tag_value of %s: at most %d bytes",
                             tag->tag_key, TAG_VALUE_BYTES);
    return KMS_OK;
}

kms_err kms_tags_set(struct kms_call *call, struct kms_key *key, Kms__V1__Tag *const *tags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        KMS_TRY(kms_tag_check(call, tags[i]));
        kms_err err = kms_key_set_tag(key, tags[i]->tag_key, tags[i]->tag_value);
        if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
            return kms_call_fail(call, err, "a key has at most %d tags", KMS_TAGS_MAX);
        KMS_TRY(err);
    }
    return KMS_OK;
}

kms_err kms_tags_gather(struct kms_call *call, struct kms_access *access, Kms__V1__Tag *const *tags,
                        size_t count)
{
    if (count > KMS_TAGS_MAX)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "at most %d tags", KMS_TAGS_MAX);
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    struct kms_pair *pairs = kms_call_alloc(call, (count + 1) * sizeof *pairs);
    if (inputs == NULL || pairs == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct kms_pair){kms_bytes_text(tags[i]->tag_key), kms_bytes_text(tags[i]->tag_value)};
    inputs->request_tags = pairs;
    inputs->request_tag_count = count;
    return KMS_OK;
}

kms_err kms_untag_gather(struct kms_call *call, struct kms_access *access, char *const *tag_keys,
                         size_t count)
{
    if (count > KMS_TAGS_MAX)
        return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED), "at most %d tags", KMS_TAGS_MAX);
    struct kms_operation_inputs *inputs = kms_access_inputs(call, access);
    struct kms_bytes *names = kms_call_alloc(call, (count + 1) * sizeof *names);
    if (inputs == NULL || names == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) names[i] = kms_bytes_text(tag_keys[i]);
    inputs->removed_tag_keys = names;
    inputs->removed_tag_key_count = count;
    return KMS_OK;
}

kms_err kms_description_check(struct kms_call *call, const char *description)
{
    enum { DESCRIPTION_BYTES = 8192 };
    if (strlen(description) <= DESCRIPTION_BYTES) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "description: at most %d bytes",
                         DESCRIPTION_BYTES);
}

kms_err kms_update_key_description_gather(struct kms_call *call)
{
    const Kms__V1__UpdateKeyDescriptionRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_UPDATE_KEY_DESCRIPTION, request->key_id, &access);
}

kms_err kms_update_key_description_act(struct kms_call *call)
{
    const Kms__V1__UpdateKeyDescriptionRequest *request = (const void *)call->request;
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_TRY(kms_description_check(call, request->description));
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_key_set_description(key, request->description));
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_tag_resource_gather(struct kms_call *call)
{
    const Kms__V1__TagResourceRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_TAG_RESOURCE, request->key_id, &access));
    return kms_tags_gather(call, access, request->tags, request->n_tags);
}

kms_err kms_tag_resource_act(struct kms_call *call)
{
    const Kms__V1__TagResourceRequest *request = (const void *)call->request;
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    KMS_TRY(kms_tags_set(call, key, request->tags, request->n_tags));
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_untag_resource_gather(struct kms_call *call)
{
    const Kms__V1__UntagResourceRequest *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, KMS_ACT_UNTAG_RESOURCE, request->key_id, &access));
    return kms_untag_gather(call, access, request->tag_keys, request->n_tag_keys);
}

kms_err kms_untag_resource_act(struct kms_call *call)
{
    const Kms__V1__UntagResourceRequest *request = (const void *)call->request;
    KMS_OWN_KEY key = NULL;
    KMS_OWN_CHANGES changes = {.count = 0};
    if (kms_new_reply(call) == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_key_copy(call->access[0].key, 0, &key));
    for (size_t i = 0; i < request->n_tag_keys; i++) kms_key_drop_tag(key, request->tag_keys[i]);
    KMS_TRY(kms_change_key(&changes, key));
    return kms_change_apply_key(&changes, call, key);
}

kms_err kms_list_resource_tags_gather(struct kms_call *call)
{
    const Kms__V1__ListResourceTagsRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_LIST_RESOURCE_TAGS, request->key_id, &access);
}

kms_err kms_list_resource_tags_act(struct kms_call *call)
{
    const struct kms_key *key = call->access[0].key; /* held by the call: its texts may be borrowed */
    Kms__V1__ListResourceTagsResponse *reply = kms_new_reply(call);
    Kms__V1__Tag *tags = kms_call_alloc(call, (key->tag_count + 1) * sizeof *tags);
    if (reply == NULL || tags == NULL) return KMS_FAIL(NO_MEMORY);
    reply->tags = kms_call_alloc(call, (key->tag_count + 1) * sizeof *reply->tags);
    if (reply->tags == NULL) return KMS_FAIL(NO_MEMORY);
    reply->n_tags = key->tag_count;
    for (uint32_t i = 0; i < key->tag_count; i++) {
        kms__v1__tag__init(&tags[i]);
        tags[i].tag_key = key->tags[i].key;
        tags[i].tag_value = key->tags[i].value;
        reply->tags[i] = &tags[i];
    }
    return KMS_OK;
}
