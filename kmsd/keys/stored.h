/* Messages of keystore/record.proto, whichever they are: the body of a row, and copies. Thread-safe. */
#ifndef KMS_KEYS_STORED_H
#define KMS_KEYS_STORED_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* body must be empty. NO_MEMORY; LIMIT_EXCEEDED: more than a row can hold. */
KMS_MUST_USE kms_err kms_stored_pack(const ProtobufCMessage *stored, kms_buf *body);
/* The same message in memory of its own; the caller frees it (protobuf_c_message_free_unpacked). NULL: no
 * memory. */
void *kms_stored_copy(const ProtobufCMessage *stored);

/* Room for a message that is read and let go of at once: most fit, the rest of others comes from the heap.
 * On the stack, at most. Unpack with &room.allocator, and free with it. */
struct kms_stored_room {
    ProtobufCAllocator allocator;
    size_t used;
    _Alignas(16) uint8_t bytes[4096];
};
void kms_stored_room_open(struct kms_stored_room *room);

#endif
