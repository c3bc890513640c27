/*
 * Protobuf messages as JSON, by their descriptors: the members are the fields' names as the .proto files
 * spell them, bytes are base64, an enum value is its name without the type's prefix ("ENABLED"), a map is an
 * object, a 64-bit number is a number. Unset messages and oneofs are left out. Not for secrets: JSON is not
 * locked memory. Thread-safe: pure functions.
 */
#ifndef KMS_CLIENT_JSON_H
#define KMS_CLIENT_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* A new reference; NULL: memory ran out. */
json_t *kms_json_of(const ProtobufCMessage *message);
/* The message in arena. INVALID_ARGUMENT: why names the member that is unknown, or of the wrong type. */
KMS_MUST_USE kms_err kms_json_to(const json_t *object, const ProtobufCMessageDescriptor *type,
                                 kms_arena *arena, ProtobufCMessage **ret_message, struct kms_why *why);
/* What one element of a repeated field takes in memory. */
size_t kms_json_item_bytes(const ProtobufCFieldDescriptor *field);
/* Has a field, at any depth, that carries plaintext or key material. */
bool kms_json_secret(const ProtobufCMessageDescriptor *type);

#endif
