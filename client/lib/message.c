/* Packing, unpacking and wiping of messages. */
#include "client/lib/message.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "client/lib/failure.h"

static void *arena_alloc(void *arena, size_t size)
{
    return kms_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer; /* the wipe of the arena takes it */
}

ProtobufCAllocator kms_arena_allocator(kms_arena *arena)
{
    return (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
}

grpc_byte_buffer *kms_message_pack(const ProtobufCMessage *message)
{
    /* "large" is never inlined in the slice itself, so the buffer holds the only copy and can be wiped. */
    grpc_slice slice = grpc_slice_malloc_large(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* In place: a short slice lies in the struct itself, and a copy would be wiped in its stead. */
static void wipe_slice(grpc_slice *slice)
{
    kms_wipe(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

void kms_buffer_destroy(grpc_byte_buffer *buffer)
{
    if (buffer == NULL) return;
    grpc_byte_buffer_reader reader;
    if (grpc_byte_buffer_reader_init(&reader, buffer)) {
        for (grpc_slice *slice = NULL; grpc_byte_buffer_reader_peek(&reader, &slice);) wipe_slice(slice);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buffer);
}

kms_err kms_message_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *descriptor,
                           kms_arena *arena, ProtobufCMessage **ret_message)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) return KMS_FAIL(INTERNAL);
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    ProtobufCAllocator allocator = kms_arena_allocator(arena);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, GRPC_SLICE_LENGTH(all), GRPC_SLICE_START_PTR(all));
    wipe_slice(&all);
    grpc_slice_unref(all);
    if (message == NULL) return KMS_FAIL(INTERNAL);
    *ret_message = message;
    return KMS_OK;
}

char *kms_borrow_text(const char *text)
{
    return kms_lend(text != NULL ? text : "");
}

ProtobufCBinaryData kms_borrow_bytes(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = len};
}

bool kms_enum_of(const ProtobufCEnumDescriptor *type, const char *prefix, const char *name, int *ret_value,
                 struct kms_error *error)
{
    char full[64];
    struct kms_why why = {{0}};
    *ret_value = 0;
    if (name == NULL || name[0] == '\0') return true;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(type, full);
    if (value != NULL && value->value != 0) {
        *ret_value = value->value;
        return true;
    }
    kms_why_set(&why, "%s has no value %.40s", type->short_name, name);
    kms_error_local(error, KMS_FAIL(INVALID_ARGUMENT), &why);
    return false;
}

const char *kms_enum_name(const ProtobufCEnumDescriptor *type, const char *prefix, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found != NULL && value != 0 ? found->name + strlen(prefix) : "UNKNOWN";
}
