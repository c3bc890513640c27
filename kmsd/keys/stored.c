#include "kmsd/keys/stored.h"

#include <stdlib.h>

#include "keystore/keystore.h"

kms_err kms_stored_pack(const ProtobufCMessage *stored, kms_buf *body)
{
    size_t len = protobuf_c_message_get_packed_size(stored);
    if (len > KMS_ROW_BODY_BYTES) return KMS_FAIL(LIMIT_EXCEEDED);
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) return KMS_FAIL(NO_MEMORY);
    protobuf_c_message_pack(stored, bytes);
    kms_err err = kms_buf_append(body, bytes, len);
    free(bytes);
    return err;
}

void *kms_stored_copy(const ProtobufCMessage *stored)
{
    size_t len = protobuf_c_message_get_packed_size(stored);
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) return NULL;
    protobuf_c_message_pack(stored, bytes);
    ProtobufCMessage *copy = protobuf_c_message_unpack(stored->descriptor, NULL, len, bytes);
    free(bytes);
    return copy;
}

static void *room_alloc(void *user, size_t size)
{
    enum { ALIGNMENT = 16 };
    struct kms_stored_room *room = user;
    size_t left = sizeof room->bytes - room->used;
    if (size == 0 || size > left) return malloc(size > 0 ? size : 1); /* nothing of a full room: its end */
    void *at = room->bytes + room->used;
    size_t taken = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    room->used += taken < left ? taken : left;
    return at;
}

static void room_free(void *user, void *at)
{
    struct kms_stored_room *room = user;
    uintptr_t begin = (uintptr_t)room->bytes, place = (uintptr_t)at;
    if (place < begin || place >= begin + sizeof room->bytes) free(at);
}

void kms_stored_room_open(struct kms_stored_room *room)
{
    room->allocator = (ProtobufCAllocator){room_alloc, room_free, room};
    room->used = 0;
}
