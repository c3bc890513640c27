/* protobuf-c makes a type of its own for the entries of every map<string, string>; all have this layout. */
#include "client/lib/context.h"

#include <stdlib.h>

#include "client/lib/message.h"
#include "kms/v1/crypto.pb-c.h"

struct map_entry {
    ProtobufCMessage base;
    char *name, *value;
};

#define SAME_LAYOUT(type)                                                                                    \
    _Static_assert(sizeof(type) == sizeof(struct map_entry) &&                                               \
                       offsetof(type, key) == offsetof(struct map_entry, name) &&                            \
                       offsetof(type, value) == offsetof(struct map_entry, value),                           \
                   "layout of " #type)
SAME_LAYOUT(Kms__V1__EncryptRequest__EncryptionContextEntry);
SAME_LAYOUT(Kms__V1__DecryptRequest__EncryptionContextEntry);
SAME_LAYOUT(Kms__V1__ReEncryptRequest__SourceEncryptionContextEntry);
SAME_LAYOUT(Kms__V1__ReEncryptRequest__DestinationEncryptionContextEntry);
SAME_LAYOUT(Kms__V1__GenerateDataKeyRequest__EncryptionContextEntry);
SAME_LAYOUT(Kms__V1__GenerateDataKeyWithoutPlaintextRequest__EncryptionContextEntry);

struct kms_context_map {
    struct map_entry *entries;
    struct map_entry **pointers;
};

bool kms_context_map_new(const struct kms_context *context, const ProtobufCMessageDescriptor *entry,
                         kms_context_map **ret_map)
{
    for (size_t i = 0; i < context->count; i++)
        if (context->entries[i].name == NULL || context->entries[i].value == NULL) return false;
    KMS_OWN(kms_context_map) map = calloc(1, sizeof *map);
    if (map == NULL) return false;
    map->entries = calloc(context->count + 1, sizeof *map->entries);
    map->pointers = calloc(context->count + 1, sizeof *map->pointers);
    if (map->entries == NULL || map->pointers == NULL) return false;
    for (size_t i = 0; i < context->count; i++) {
        protobuf_c_message_init(entry, &map->entries[i]);
        map->entries[i].name = kms_borrow_text(context->entries[i].name);
        map->entries[i].value = kms_borrow_text(context->entries[i].value);
        map->pointers[i] = &map->entries[i];
    }
    *ret_map = KMS_GIVE(map);
    return true;
}

void *kms_context_map_entries(kms_context_map *map)
{
    return map->pointers;
}

kms_err kms_context_refused(size_t index, struct kms_why *why)
{
    kms_why_set(why,
                "value %zu: an entry of the encryption context has no name or no value, or memory ran out",
                index + 1);
    return KMS_FAIL(INVALID_ARGUMENT);
}

void kms_context_map_drop(kms_context_map **map)
{
    if (*map == NULL) return;
    free((*map)->entries);
    free((*map)->pointers);
    free(*map);
}
