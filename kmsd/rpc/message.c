/* From gRPC's slices to one piece. */
#include "kmsd/rpc/message.h"

#include <grpc/byte_buffer_reader.h>

#include "base/secret.h"
#include "kmsd/rpc/inflate.h"

void kms_message_wipe(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) return;
    while (grpc_byte_buffer_reader_peek(&reader, &slice))
        kms_wipe(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
    grpc_byte_buffer_reader_destroy(&reader);
}

void kms_message_close(struct kms_message *message)
{
    kms_locked_free(message->whole, message->whole_len);
    *message = (struct kms_message){0};
}

static kms_err collect(grpc_byte_buffer *buffer, size_t len, struct kms_message *message)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    size_t at = 0;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) return KMS_FAIL(INVALID_ARGUMENT);
    kms_err err = KMS_OK;
    while (!kms_failed(err) && grpc_byte_buffer_reader_peek(&reader, &slice)) {
        message->wire = kms_bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
        if (message->whole == NULL && message->wire.len == len) break;
        if (message->whole == NULL) {
            message->whole = kms_locked_alloc(len);
            message->whole_len = len;
        }
        if (message->whole == NULL || message->wire.len > len - at) {
            err = KMS_FAIL(NO_MEMORY);
            break;
        }
        kms_copy(message->whole + at, message->wire.ptr, message->wire.len);
        at += message->wire.len;
    }
    grpc_byte_buffer_reader_destroy(&reader);
    if (message->whole != NULL) message->wire = kms_bytes_of(message->whole, at);
    return err;
}

/*
 * gRPC says of a message how it is compressed only if it knows that encoding: "snappy", or none named at
 * all, looks like a message that is not compressed. Whether it came with the flag is nowhere in the C
 * interface; for its tests libgrpc exports it under its C++ name. A libgrpc without it has such a message
 * be decoded and refused for what it then looks like.
 */
extern uint32_t
last_message_flags(grpc_call *call) __asm__("_Z37grpc_call_test_only_get_message_flagsP9grpc_call")
    __attribute__((weak));

static bool is_packed(grpc_call *call)
{
    enum { COMPRESSED_BIT = 31 }; /* GRPC_WRITE_INTERNAL_COMPRESS */
    return last_message_flags != NULL && last_message_flags(call) >> COMPRESSED_BIT != 0;
}

static kms_err unpack(grpc_call *call, grpc_compression_algorithm algorithm, size_t most,
                      struct kms_message *message, struct kms_why *why)
{
    struct kms_inflated inflated;
    if (algorithm == GRPC_COMPRESS_NONE && !is_packed(call)) return KMS_OK;
    if (algorithm != GRPC_COMPRESS_GZIP && algorithm != GRPC_COMPRESS_DEFLATE) {
        kms_why_set(why, "a request that grpc-encoding says to be compressed neither by gzip nor by deflate");
        return KMS_FAIL(UNSUPPORTED);
    }
    KMS_TRY(kms_inflate(algorithm == GRPC_COMPRESS_GZIP ? KMS_PACKED_GZIP : KMS_PACKED_DEFLATE, message->wire,
                        most, &inflated, why));
    kms_message_close(message);
    *message = (struct kms_message){.wire = kms_bytes_of(inflated.room, inflated.len),
                                    .whole = inflated.room,
                                    .whole_len = inflated.room_len};
    return KMS_OK;
}

kms_err kms_message_open(grpc_call *call, grpc_byte_buffer *buffer, size_t most,
                         struct kms_message *ret_message, struct kms_why *why)
{
    struct kms_message message = {.whole = NULL};
    size_t len = grpc_byte_buffer_length(buffer);
    if (len > most) {
        kms_why_set(why, "a request of %zu bytes, at most %zu", len, most);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    kms_err err = collect(buffer, len, &message);
    if (!kms_failed(err)) err = unpack(call, buffer->data.raw.compression, most, &message, why);
    if (kms_failed(err))
        kms_message_close(&message);
    else
        *ret_message = message;
    return err;
}
