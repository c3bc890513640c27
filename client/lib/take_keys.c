/* Replies of KeyService become results. */
#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "client/lib/store.h"
#include "kms/v1/keys.pb-c.h"

kms_err kms_take_nothing(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)message;
    (void)ret_result; /* stays NULL */
    (void)why;
    return KMS_OK;
}

static void add_aliases(struct kms_key_metadata *result, const Kms__V1__KeyMetadata *from)
{
    const char **aliases = kms_store_add(result, from->n_aliases, sizeof *aliases);
    for (size_t i = 0; aliases != NULL && i < from->n_aliases; i++)
        aliases[i] = kms_store_text(result, from->aliases[i]);
    result->aliases = aliases;
    result->alias_count = from->n_aliases;
}

static void add_versions(struct kms_key_metadata *result, const Kms__V1__KeyMetadata *from)
{
    struct kms_key_version *versions = kms_store_add(result, from->n_versions, sizeof *versions);
    for (size_t i = 0; versions != NULL && i < from->n_versions; i++)
        versions[i] = (struct kms_key_version){.version = from->versions[i]->version,
                                               .creation_time_us = from->versions[i]->creation_time_us,
                                               .root_id = from->versions[i]->root_id};
    result->versions = versions;
    result->version_count = from->n_versions;
}

static kms_err take_metadata(const Kms__V1__KeyMetadata *from, void **ret_result, struct kms_why *why)
{
    if (from == NULL) {
        kms_why_set(why, "the server answered without key metadata");
        return KMS_FAIL(INTERNAL);
    }
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_key_metadata));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_key_metadata *result = store;
    *result = (struct kms_key_metadata){
        .key_id = kms_store_text(result, from->key_id),
        .arn = kms_store_text(result, from->arn),
        .description = kms_store_text(result, from->description),
        .creation_time_us = from->creation_time_us,
        .state = (enum kms_key_state)from->key_state,
        .protection_level = (enum kms_protection_level)from->protection_level,
        .current_version = from->current_version,
        .key_spec = kms_enum_name(&kms__v1__key_spec__descriptor, "KEY_SPEC_", (int)from->key_spec),
        .key_usage = kms_enum_name(&kms__v1__key_usage__descriptor, "KEY_USAGE_", (int)from->key_usage),
        .material_exposure = kms_store_text(result, from->material_exposure),
    };
    add_aliases(result, from);
    add_versions(result, from);
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

kms_err kms_take_created_key(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    return take_metadata(((const Kms__V1__CreateKeyResponse *)message)->key_metadata, ret_result, why);
}

kms_err kms_take_described_key(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    return take_metadata(((const Kms__V1__DescribeKeyResponse *)message)->key_metadata, ret_result, why);
}

kms_err kms_take_key_list(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__ListKeysResponse *reply = (const Kms__V1__ListKeysResponse *)message;
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_key_list));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_key_entry *keys = kms_store_add(store, reply->n_keys, sizeof *keys);
    for (size_t i = 0; keys != NULL && i < reply->n_keys; i++)
        keys[i] = (struct kms_key_entry){.key_id = kms_store_text(store, reply->keys[i]->key_id),
                                         .arn = kms_store_text(store, reply->keys[i]->key_arn)};
    *(struct kms_key_list *)store = (struct kms_key_list){
        .keys = keys,
        .count = reply->n_keys,
        .truncated = reply->truncated,
        .next_marker = kms_store_text(store, reply->next_marker),
    };
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

kms_err kms_take_alias_list(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__ListAliasesResponse *reply = (const Kms__V1__ListAliasesResponse *)message;
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_alias_list));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_alias_entry *aliases = kms_store_add(store, reply->n_aliases, sizeof *aliases);
    for (size_t i = 0; aliases != NULL && i < reply->n_aliases; i++)
        aliases[i] = (struct kms_alias_entry){.alias = kms_store_text(store, reply->aliases[i]->alias_name),
                                              .arn = kms_store_text(store, reply->aliases[i]->alias_arn),
                                              .target_key_id =
                                                  kms_store_text(store, reply->aliases[i]->target_key_id)};
    *(struct kms_alias_list *)store = (struct kms_alias_list){
        .aliases = aliases,
        .count = reply->n_aliases,
        .truncated = reply->truncated,
        .next_marker = kms_store_text(store, reply->next_marker),
    };
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

kms_err kms_take_rotation(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__RotateKeyOnDemandResponse *reply = (const Kms__V1__RotateKeyOnDemandResponse *)message;
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_rotate_result));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_rotate_result *)store = (struct kms_rotate_result){
        .key_arn = kms_store_text(store, reply->key_id), .current_version = reply->current_version};
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

kms_err kms_take_policy(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__GetKeyPolicyResponse *reply = (const Kms__V1__GetKeyPolicyResponse *)message;
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_key_policy));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_key_policy *)store = (struct kms_key_policy){.policy = kms_store_text(store, reply->policy)};
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

void kms_key_metadata_free(struct kms_key_metadata *metadata)
{
    kms_store_free(metadata);
}
void kms_rotate_result_free(struct kms_rotate_result *result)
{
    kms_store_free(result);
}
void kms_key_list_free(struct kms_key_list *list)
{
    kms_store_free(list);
}
void kms_alias_list_free(struct kms_alias_list *list)
{
    kms_store_free(list);
}
void kms_key_policy_free(struct kms_key_policy *policy)
{
    kms_store_free(policy);
}
