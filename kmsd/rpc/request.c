/* Requests: from what gRPC holds to a message in the arena of the call. */
#include <grpc/byte_buffer.h>

#include "kmsd/rpc/decode.h"
#include "kmsd/rpc/guest.h"
#include "kmsd/rpc/message.h"
#include "kmsd/rpc/wirecheck.h"

void kms_slot_drop_request(struct kms_slot *slot)
{
    if (slot->request == NULL) return;
    kms_message_wipe(slot->request); /* gRPC's memory cannot be locked, but it need not keep the plaintext */
    grpc_byte_buffer_destroy(slot->request);
    slot->request = NULL;
}

/* To one call of ours, or to several, or to the answer. */
static kms_err translate(struct kms_slot *slot, const ProtobufCMessage *foreign)
{
    const struct kms_dialect *dialect = slot->queue->rpc->rows[slot->row].dialect;
    const ProtobufCMessage *answer;
    if (dialect->from == NULL) /* the pipeline, which asks this of every call, never sees this peer's own */
        KMS_TRY(kms_authn_check(slot->queue->rpc->parts.authn, slot->call.identity, slot->call.started_us,
                                &slot->call.why));
    if (dialect->split != NULL) return kms_slot_split(slot, foreign);
    if (dialect->answer == NULL) return dialect->from(&slot->call, slot->way.door, foreign);
    KMS_TRY(dialect->answer(&slot->call, foreign, &answer));
    return kms_slot_pack(slot, answer);
}

static kms_err read(struct kms_slot *slot, bool batch, const ProtobufCMessage **ret_message)
{
    struct kms_call *call = &slot->call;
    const struct kms_rpc *rpc = slot->queue->rpc;
    uint32_t most = batch ? rpc->options.batch_message_bytes : rpc->options.message_bytes;
    struct kms_message message;
    kms_err err = kms_message_open(slot->grpc_call, slot->request, most, &message, &call->why);
    slot->tell_encodings = kms_is(err, KMS_E_UNSUPPORTED);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED)) {
        const struct kms_why bytes = call->why;
        kms_why_set(&call->why, "%s (%s)", bytes.text, batch ? "limits.batch_bytes" : "limits.message");
    }
    KMS_TRY(err);
    size_t len = message.wire.len;
    if (batch) kms_arena_prepare(&call->arena, len + len / 8); /* values, and what holds them */
    err = kms_decode(rpc->rows[slot->row].input, batch ? KMS_WIRE_BATCH_FIELDS : KMS_WIRE_FIELDS,
                     message.wire, &call->arena, ret_message, &call->why);
    kms_message_close(&message);
    return err;
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
    bool batch = call->method->item != NULL;
    kms_err err = read(slot, batch, &message);
    if (kms_failed(err)) return batch && kms_is(err, KMS_E_NO_MEMORY) ? KMS_FAIL(LIMIT_EXCEEDED) : err;
    if (row->dialect != NULL) return translate(slot, message);
    call->request = message;
    return KMS_OK;
}

kms_err kms_guest_decode(struct kms_guest *guest, const ProtobufCMessageDescriptor *type, kms_arena *arena,
                         const ProtobufCMessage **ret_message, struct kms_why *why)
{
    struct kms_message message;
    kms_arena_init(arena, KMS_GUEST_ARENA_BYTES);
    if (guest->request == NULL) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(kms_message_open(guest->grpc_call, guest->request, KMS_GUEST_REQUEST_BYTES, &message, why));
    kms_err err = kms_decode(type, KMS_GUEST_FIELDS, message.wire, arena, ret_message, why);
    kms_message_close(&message);
    return err;
}
