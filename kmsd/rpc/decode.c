/* Unpacks a request into an arena. */
#include "kmsd/rpc/decode.h"

#include "kmsd/rpc/wirecheck.h"

struct room {
    kms_arena *arena;
    bool full;
};

static void *room_alloc(void *data, size_t len)
{
    struct room *room = data;
    void *p = kms_arena_alloc(room->arena, len);
    if (p == NULL) room->full = true;
    return p;
}

/* The arena gives everything back at once. */
static void room_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

kms_err kms_decode(const ProtobufCMessageDescriptor *type, unsigned fields, struct kms_bytes wire,
                   kms_arena *arena, const ProtobufCMessage **ret_message, struct kms_why *why)
{
    KMS_TRY(kms_wirecheck(type, fields, wire, why));
    struct room room = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = room_alloc, .free = room_free, .allocator_data = &room};
    const ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, wire.len, wire.ptr);
    if (room.full) {
        kms_why_set(why, "the request needs more memory than one call may take");
        return KMS_FAIL(NO_MEMORY);
    }
    if (message == NULL) {
        kms_why_set(why, "not a %s", type->short_name);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    *ret_message = message;
    return KMS_OK;
}
