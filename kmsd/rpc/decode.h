/* Request bytes to a message in the arena of the call, checked first (wirecheck.h). Thread-safe. */
#ifndef KMS_RPC_DECODE_H
#define KMS_RPC_DECODE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* fields: most that the request may have. INVALID_ARGUMENT with the field, NO_MEMORY when the arena is full.
 * The message borrows nothing from wire, lives until the arena is wiped and is never given to
 * protobuf_c_message_free_unpacked. */
KMS_MUST_USE kms_err kms_decode(const ProtobufCMessageDescriptor *type, unsigned fields,
                                struct kms_bytes wire, kms_arena *arena, const ProtobufCMessage **ret_message,
                                struct kms_why *why);

#endif
