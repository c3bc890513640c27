/* Accesses: which key, found how, under which context. */
#include "kmsd/service/access.h"

#include <string.h>

#include "base/ciphertext.h"
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/core.h"

static kms_err add(struct kms_call *call, enum kms_action action, struct kms_access **ret_access)
{
    if (call->access_count == KMS_CALL_ACCESSES) return KMS_FAIL(INTERNAL);
    struct kms_access *access = &call->access[call->access_count++];
    *access = (struct kms_access){.action = action};
    *ret_access = access;
    return KMS_OK;
}

bool kms_name_resolve(const struct kms_call *call, struct kms_key_name *name)
{
    struct kms_alias alias;
    if (name->alias.len == 0) return true;
    if (!kms_keyring_alias(call->core->keys, name->alias, &alias) || alias.deleted) return false;
    name->id = alias.key_id;
    return true;
}

kms_err kms_access_named(struct kms_call *call, enum kms_action action, const char *named,
                         struct kms_access **ret_access)
{
    struct kms_access *access;
    KMS_TRY(add(call, action, &access));
    access->named = kms_bytes_text(named);
    struct kms_key_name name;
    KMS_TRY(kms_key_name_parse(&call->core->arn, access->named, &name, &call->why));
    access->alias = name.alias;
    if (kms_name_resolve(call, &name)) access->key = kms_keyring_find(call->core->keys, &name.id);
    *ret_access = access;
    return KMS_OK;
}

kms_err kms_access_id(struct kms_call *call, enum kms_action action, const struct kms_id *id,
                      struct kms_access **ret_access)
{
    KMS_TRY(add(call, action, ret_access));
    (*ret_access)->key = kms_keyring_find(call->core->keys, id);
    return KMS_OK;
}

kms_err kms_access_secret(struct kms_call *call, enum kms_action action, const char *named,
                          struct kms_access **ret_access)
{
    struct kms_access *access;
    struct kms_secret_name names[2];
    size_t count;
    KMS_TRY(add(call, action, &access));
    access->named = kms_bytes_text(named);
    access->of_secret = true;
    KMS_TRY(kms_secret_name_parse(&call->core->secret_arn, access->named, names, &count, &call->why));
    access->secret = kms_secret_book_resolve(call->core->secrets, names, count);
    *ret_access = access;
    return KMS_OK;
}

kms_err kms_access_role(struct kms_call *call, enum kms_action action, const char *named,
                        struct kms_access **ret_access)
{
    struct kms_access *access;
    struct kms_bytes name;
    KMS_TRY(add(call, action, &access));
    access->named = kms_bytes_text(named);
    access->of_role = true;
    KMS_TRY(kms_role_name_parse(&call->core->secret_arn, access->named, &name, &call->why));
    access->role = kms_lease_book_role(call->core->leases, name);
    *ret_access = access;
    return KMS_OK;
}

kms_err kms_access_service(struct kms_call *call, enum kms_action action)
{
    struct kms_access *access;
    KMS_TRY(add(call, action, &access));
    access->service = true;
    return KMS_OK;
}

kms_err kms_access_own(struct kms_call *call, enum kms_action action)
{
    KMS_TRY(kms_access_service(call, action));
    call->access[call->access_count - 1].own = true;
    return KMS_OK;
}

struct kms_operation_inputs *kms_access_inputs(struct kms_call *call, struct kms_access *access)
{
    struct kms_operation_inputs *inputs = kms_call_alloc(call, sizeof *inputs);
    if (inputs == NULL) return NULL;
    *inputs = access->inputs != NULL ? *access->inputs : (struct kms_operation_inputs){.valid_to_us = 0};
    access->inputs = inputs;
    return inputs;
}

/* Every map<string, string> entry of protobuf-c has this layout. */
typedef Kms__V1__EncryptRequest__EncryptionContextEntry map_entry;
_Static_assert(sizeof(map_entry) == sizeof(Kms__V1__ReEncryptRequest__SourceEncryptionContextEntry),
               "one layout");

kms_err kms_access_context(struct kms_call *call, struct kms_access *access, size_t count, void *entries)
{
    map_entry **entry = entries;
    if (count > KMS_CONTEXT_PAIRS_MAX)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "encryption_context: more than %d pairs",
                             KMS_CONTEXT_PAIRS_MAX);
    struct kms_context_pair pairs[KMS_CONTEXT_PAIRS_MAX];
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct kms_context_pair){kms_bytes_text(entry[i]->key), kms_bytes_text(entry[i]->value)};
    return kms_access_pairs(call, access, pairs, count);
}

kms_err kms_access_pairs(struct kms_call *call, struct kms_access *access, struct kms_context_pair *pairs,
                         size_t count)
{
    KMS_OWN_BUF canonical = {0};
    KMS_TRY(kms_context_canonical(pairs, count, &canonical, &call->why));
    access->canonical = kms_arena_copy(&call->arena, kms_buf_view(&canonical));
    access->context = kms_call_alloc(call, count * sizeof *access->context);
    if (access->canonical.ptr == NULL || access->context == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) access->context[i] = (struct kms_pair){pairs[i].name, pairs[i].value};
    access->context_count = count;
    return KMS_OK;
}
