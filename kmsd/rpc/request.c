/* Requests: from what gRPC holds to a message in the arena of the call. */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>

#include "base/secret.h"
#include "kmsd/rpc/decode.h"
#include "kmsd/rpc/internal.h"
#include "kmsd/rpc/wirecheck.h"

/* gRPC's memory cannot be locked, but it need not keep the plaintext. */
static void wipe(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) return;
    while (grpc_byte_buffer_reader_peek(&reader, &slice))
        kms_wipe(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
    grpc_byte_buffer_reader_destroy(&reader);
}

/* The request in one piece: as it lies there, or collected in locked memory of len bytes (ret_whole, to be
 * given back). */
static kms_err request_bytes(grpc_byte_buffer *buffer, size_t len, uint8_t **ret_whole,
                             struct kms_bytes *ret_bytes)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    size_t at = 0;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) return KMS_FAIL(INVALID_ARGUMENT);
    uint8_t *whole = NULL;
    kms_err err = KMS_OK;
    struct kms_bytes bytes = {0};
    while (!kms_failed(err) && grpc_byte_buffer_reader_peek(&reader, &slice)) {
        bytes = kms_bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
        if (whole == NULL && bytes.len == len) break;
        if (whole == NULL) whole = kms_locked_alloc(len);
        if (whole == NULL || bytes.len > len - at) {
            err = KMS_FAIL(NO_MEMORY);
            break;
        }
        kms_copy(whole + at, bytes.ptr, bytes.len);
        at += bytes.len;
    }
    grpc_byte_buffer_reader_destroy(&reader);
    *ret_whole = whole;
    if (!kms_failed(err)) *ret_bytes = whole != NULL ? kms_bytes_of(whole, at) : bytes;
    return err;
}

void kms_slot_drop_request(struct kms_slot *slot)
{
    if (slot->request == NULL) return;
    wipe(slot->request);
    grpc_byte_buffer_destroy(slot->request);
    slot->request = NULL;
}

/* To one call of ours, or to several, or to the answer. */
static kms_err translate(struct kms_slot *slot, const ProtobufCMessage *foreign)
{
    const struct kms_dialect *dialect = slot->queue->rpc->rows[slot->row].dialect;
    const ProtobufCMessage *answer;
    if (dialect->split != NULL) return kms_slot_split(slot, foreign);
    if (dialect->answer == NULL) return dialect->from(&slot->call, slot->way.door, foreign);
    KMS_TRY(dialect->answer(&slot->call, foreign, &answer));
    return kms_slot_pack(slot, answer);
}

kms_err kms_slot_decode(struct kms_slot *slot)
{
    struct kms_call *call = &slot->call;
    const struct kms_rpc_row *row = &slot->queue->rpc->rows[slot->row];
    const ProtobufCMessage *message;
    if (slot->request == NULL) {
        kms_why_set(&call->why, "the call carries no request, or one that is too long");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    const struct kms_rpc_options *options = &slot->queue->rpc->options;
    bool batch = call->method->item != NULL;
    size_t len = grpc_byte_buffer_length(slot->request);
    uint32_t most = batch ? options->batch_message_bytes : options->message_bytes;
    if (len > most) {
        kms_why_set(&call->why, "a request of %zu bytes, at most %u", len, most);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    struct kms_bytes wire;
    uint8_t *whole = NULL;
    kms_err err = request_bytes(slot->request, len, &whole, &wire);
    if (batch) kms_arena_prepare(&call->arena, len + len / 8); /* values, and what holds them */
    if (!kms_failed(err))
        err = kms_decode(row->input, batch ? KMS_WIRE_BATCH_FIELDS : KMS_WIRE_FIELDS, wire, &call->arena,
                         &message, &call->why);
    kms_locked_free(whole, len);
    if (kms_failed(err)) return batch && kms_is(err, KMS_E_NO_MEMORY) ? KMS_FAIL(LIMIT_EXCEEDED) : err;
    if (row->dialect != NULL) return translate(slot, message);
    call->request = message;
    return KMS_OK;
}
