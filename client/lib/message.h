/*
 * Protobuf messages to and from gRPC byte buffers, leaving no plaintext behind: requests are wiped after the
 * call, replies are decoded into locked memory and wiped where they arrived. Thread-safe: no state.
 */
#ifndef KMS_CLIENT_MESSAGE_H
#define KMS_CLIENT_MESSAGE_H

#include <grpc/byte_buffer.h>
#include <kms/error.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* Allocates from arena, frees nothing: kms_arena_wipe ends it all. */
ProtobufCAllocator kms_arena_allocator(kms_arena *arena);

/* The encoded message in a byte buffer of its own. The caller wipes and destroys it. */
grpc_byte_buffer *kms_message_pack(const ProtobufCMessage *message);

/* The decoded message in arena. INTERNAL: not such a message, or it does not fit. */
KMS_MUST_USE kms_err kms_message_unpack(grpc_byte_buffer *buffer,
                                        const ProtobufCMessageDescriptor *descriptor, kms_arena *arena,
                                        ProtobufCMessage **ret_message);

/* Wipes the bytes in place, then destroys the buffer; NULL is a no-op. */
void kms_buffer_destroy(grpc_byte_buffer *buffer);

/* protobuf-c's members are not const though packing only reads them. */
char *kms_borrow_text(const char *text); /* NULL becomes "" */
/* An enum value by its name without the type's prefix ("RSA_2048"); NULL and "" are 0. False: error says that
 * there is no such value. */
bool kms_enum_of(const ProtobufCEnumDescriptor *type, const char *prefix, const char *name, int *ret_value,
                 struct kms_error *error);
/* The reverse; static; "UNKNOWN" for what a newer server may answer. */
const char *kms_enum_name(const ProtobufCEnumDescriptor *type, const char *prefix, int value);
ProtobufCBinaryData kms_borrow_bytes(const uint8_t *data, size_t len);

#endif
