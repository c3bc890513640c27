/* An encryption context as the entries of a protobuf map. Thread-safe: values only. */
#ifndef KMS_CLIENT_CONTEXT_H
#define KMS_CLIENT_CONTEXT_H

#include <kms/types.h>
#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/own.h"

typedef struct kms_context_map kms_context_map;

/* False: no memory, or an entry without name or value. Borrows the texts of context. The caller owns
 * *ret_map. */
bool kms_context_map_new(const struct kms_context *context, const ProtobufCMessageDescriptor *entry,
                         kms_context_map **ret_map);
/* What a member like encryption_context wants: pointers to the entries, which the map owns. */
void *kms_context_map_entries(kms_context_map *map);
/* INVALID_ARGUMENT for value index of many whose context made no map; why says which. */
KMS_MUST_USE kms_err kms_context_refused(size_t index, struct kms_why *why);
void kms_context_map_drop(kms_context_map **map);

#endif
