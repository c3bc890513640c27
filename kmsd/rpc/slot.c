/*
 * The life of one call: waiting -> accepted -> identity -> decode -> pipeline -> encoded -> replied ->
 * waiting. Everything but encode runs on the thread of the slot's queue.
 */
#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "kmsd/rpc/internal.h"
#include "kmsd/rpc/message.h"
#include "kmsd/rpc/status.h"

grpc_call *kms_slot_grpc_call(const struct kms_call *call)
{
    return ((const struct kms_slot *)call->transport)->grpc_call;
}
struct kms_queue *kms_slot_queue(const struct kms_call *call)
{
    return ((const struct kms_slot *)call->transport)->queue;
}
int kms_slot_socket(const struct kms_call *call)
{
    return ((const struct kms_slot *)call->transport)->way.socket;
}

/* --- waiting --- */

static void on_accepted(struct kms_tag *tag, bool ok);
static void on_replied(struct kms_tag *tag, bool ok);

struct kms_slot *kms_slot_take_idle(struct kms_queue *queue)
{
    struct kms_slot *slot = queue->idle;
    if (slot != NULL) {
        queue->idle = slot->next_idle;
        return slot;
    }
    slot = calloc(1, sizeof *slot);
    if (slot == NULL) return NULL;
    slot->queue = queue;
    grpc_metadata_array_init(&slot->metadata);
    slot->next_of_all = queue->slots;
    queue->slots = slot;
    return slot;
}

void kms_slot_put_idle(struct kms_slot *slot)
{
    slot->next_idle = slot->queue->idle;
    slot->queue->idle = slot;
}

void kms_slot_fill(struct kms_queue *queue, size_t row)
{
    struct kms_rpc *rpc = queue->rpc;
    while (queue->waiting[row] < rpc->rows[row].slots) {
        struct kms_slot *slot = kms_slot_take_idle(queue);
        if (slot == NULL) return; /* tried again whenever a call of this row ends */
        slot->tag.fire = on_accepted;
        slot->row = row;
        grpc_call_error err = grpc_server_request_registered_call(
            rpc->server, rpc->rows[row].registered, &slot->grpc_call, &slot->deadline, &slot->metadata,
            &slot->request, queue->cq, queue->cq, &slot->tag);
        if (err != GRPC_CALL_OK) {
            kms_log(KMS_LOG_ERROR, "rpc.request", "err=\"%s\"", grpc_call_error_to_string(err));
            kms_slot_put_idle(slot);
            return;
        }
        queue->waiting[row]++;
    }
}

void kms_slots_free(struct kms_queue *queue)
{
    while (queue->slots != NULL) {
        struct kms_slot *slot = queue->slots;
        queue->slots = slot->next_of_all;
        grpc_metadata_array_destroy(&slot->metadata);
        free(slot);
    }
}

/* --- accepted --- */

static void copy_text(grpc_slice value, char text[KMS_CALL_TEXT_BYTES])
{
    kms_printable(kms_bytes_of(GRPC_SLICE_START_PTR(value), GRPC_SLICE_LENGTH(value)), text,
                  KMS_CALL_TEXT_BYTES);
}

static void read_metadata(const grpc_metadata_array *metadata, struct kms_call *call)
{
    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_metadata *m = &metadata->metadata[i];
        if (grpc_slice_str_cmp(m->key, "user-agent") == 0) copy_text(m->value, call->client);
        if (grpc_slice_str_cmp(m->key, "x-correlation-id") == 0) copy_text(m->value, call->correlation_id);
    }
}

static uint64_t deadline_us(gpr_timespec deadline)
{
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return 0;
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    uint64_t now = kms_monotonic_us();
    return left.tv_sec < 0 ? now : now + (uint64_t)left.tv_sec * 1000000 + (uint64_t)left.tv_nsec / 1000;
}

/* Batches have a number and memory of their own: a flood of them leaves single calls what they need. */
static kms_err enter_batch(struct kms_slot *slot, struct kms_call *call)
{
    struct kms_rpc *rpc = slot->queue->rpc;
    kms_arena_init(&call->arena, rpc->options.batch_memory_bytes);
    call->arena.room = &rpc->batch_room;
    slot->in_batch = true;
    if (atomic_fetch_add(&rpc->batches, 1) < rpc->options.batches) return KMS_OK;
    call->passes = true;
    kms_why_set(&call->why, "%u batches are active already (limits.batches)", rpc->options.batches);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static kms_err check_door(struct kms_slot *slot)
{
    const struct kms_dialect *dialect = slot->queue->rpc->rows[slot->row].dialect;
    enum kms_protocol spoken = slot->way.door->protocol;
    enum kms_protocol called = dialect != NULL ? dialect->protocol : KMS_PROTOCOL_KMS;
    if (called == spoken) return KMS_OK;
    kms_why_set(&slot->call.why, "a method of protocol %s, but %s is what this listener speaks (listen.unix)",
                kms_protocol_name(called), kms_protocol_name(spoken));
    return KMS_FAIL(UNSUPPORTED);
}

static void begin(struct kms_slot *slot, bool too_many)
{
    struct kms_queue *queue = slot->queue;
    struct kms_rpc *rpc = queue->rpc;
    struct kms_call *call = &slot->call;
    const struct kms_rpc_row *row = &rpc->rows[slot->row];
    *call = (struct kms_call){.method = row->method, .transport = slot};
    kms_journey_begin(&call->journey);
    if (row->dialect != NULL) call->protocol = kms_protocol_name(row->dialect->protocol);
    kms_arena_init(&call->arena, rpc->options.arena_bytes);
    call->started_us = kms_now_us();
    call->deadline_us = deadline_us(slot->deadline);
    read_metadata(&slot->metadata, call);
    call->err = kms_identify(queue->certificates, rpc->peers, slot->grpc_call, call, &slot->way);
    if (!kms_failed(call->err) && too_many) {
        call->passes = true;
        kms_why_set(&call->why, "%u calls are active already", rpc->options.calls);
        call->err = KMS_FAIL(LIMIT_EXCEEDED);
    }
    if (!kms_failed(call->err) && atomic_load(&rpc->closing)) call->err = KMS_FAIL(SHUTTING_DOWN);
    if (!kms_failed(call->err)) call->err = check_door(slot);
    if (!kms_failed(call->err) && call->method->item != NULL) call->err = enter_batch(slot, call);
    if (!kms_failed(call->err)) call->err = kms_slot_decode(slot);
    kms_slot_drop_request(slot);
    if (slot->message != NULL) { /* answered already */
        kms_slot_reply(call);
        return;
    }
    if (slot->many != NULL) {
        kms_parts_begin(slot);
        return;
    }
    if (call->method->stream != NULL) kms_slot_watch(slot);
    queue->begun++;
    kms_pipeline_begin(rpc->parts.pipeline, queue->lane, call);
}

static void on_accepted(struct kms_tag *tag, bool ok)
{
    struct kms_slot *slot = (struct kms_slot *)tag;
    struct kms_queue *queue = slot->queue;
    struct kms_rpc *rpc = queue->rpc;
    queue->waiting[slot->row]--;
    if (!ok) { /* the server is shutting down */
        kms_slot_put_idle(slot);
        return;
    }
    unsigned active = atomic_fetch_add(&rpc->active, 1) + 1;
    /* With many more than are allowed, this row gets its slots back when they end. */
    if (active <= rpc->options.calls + KMS_RPC_REFUSALS) kms_slot_fill(queue, slot->row);
    begin(slot, active > rpc->options.calls);
}

/* --- encoded --- */

static void drop_reply(struct kms_slot *slot)
{
    if (slot->message != NULL) grpc_byte_buffer_destroy(slot->message);
    slot->message = NULL;
    if (slot->status != GRPC_STATUS_OK) grpc_slice_unref(slot->status_text);
    slot->status = GRPC_STATUS_OK;
    while (slot->trailer_count > 0) grpc_slice_unref(slot->trailers[--slot->trailer_count].value);
}

/* Replies of the crypto lane may hold plaintext: locked memory, which gRPC gives back, to be wiped, after its
 * last use. */
static bool reply_slice(const struct kms_call *call, size_t len, grpc_slice *ret_slice)
{
    if (len == 0) {
        *ret_slice = grpc_empty_slice();
    } else if (call->method->lane == KMS_LANE_CRYPTO) {
        void *p = kms_locked_alloc(len);
        if (p == NULL) return false;
        *ret_slice = grpc_slice_new_with_len(p, len, kms_locked_free);
    } else {
        *ret_slice = grpc_slice_malloc(len);
    }
    return true;
}

kms_err kms_slot_pack(struct kms_slot *slot, const ProtobufCMessage *reply)
{
    struct kms_call *call = &slot->call;
    grpc_slice slice;
    size_t len = protobuf_c_message_get_packed_size(reply);
    bool batch = call->batch != NULL;
    if ((batch && !kms_arena_charge(&call->arena, len)) || !reply_slice(call, len, &slice))
        return batch ? KMS_FAIL(LIMIT_EXCEEDED) : KMS_FAIL(NO_MEMORY);
    protobuf_c_message_pack(reply, GRPC_SLICE_START_PTR(slice));
    slot->message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return KMS_OK;
}

static kms_err encode_message(struct kms_slot *slot)
{
    struct kms_call *call = &slot->call;
    if (call->reply == NULL) return KMS_FAIL(INTERNAL);
    const struct kms_dialect *dialect = slot->queue->rpc->rows[slot->row].dialect;
    const ProtobufCMessage *reply = call->reply;
    if (dialect != NULL) KMS_TRY(dialect->to(call, slot->way.door, &reply));
    return kms_slot_pack(slot, reply);
}

static void add_trailer(struct kms_slot *slot, const char *key, struct kms_bytes value)
{
    slot->trailers[slot->trailer_count++] = (grpc_metadata){
        .key = grpc_slice_from_static_string(key),
        .value = grpc_slice_from_copied_buffer((const char *)value.ptr, value.len),
    };
}

static void encode_status(struct kms_slot *slot, const char *id)
{
    const struct kms_call *call = &slot->call;
    const struct kms_approval_note *approval = &call->approval;
    struct kms_status status;
    char expires[KMS_TIME_TEXT], missing[16];
    const struct kms_status_pair pairs[] = {{"request_id", id},
                                            {"approval_id", approval->id},
                                            {"approval_expires", expires},
                                            {"approvals_missing", missing}};
    size_t count = slot->trailer_count; /* that of the request id */
    if (kms_is(call->err, KMS_E_APPROVAL_NEEDED) && approval->id[0] != '\0') {
        kms_time_text(approval->expires_us, expires);
        snprintf(missing, sizeof missing, "%u", approval->missing);
        count = KMS_STATUS_PAIRS;
    }
    const struct kms_status_info info = {pairs, count, call->passes};
    kms_status_make(call->err, &call->why, &info, &status);
    slot->status = status.code;
    slot->status_text = grpc_slice_from_copied_string(status.message);
    add_trailer(slot, KMS_STATUS_TRAILER, kms_bytes_of(status.details, status.details_len));
    if (slot->tell_encodings) add_trailer(slot, KMS_MESSAGE_ACCEPTS, kms_bytes_text(KMS_MESSAGE_ENCODINGS));
}

/* The id is what the audit log calls it. */
static void add_id(struct kms_slot *slot, char id[KMS_ID_TEXT])
{
    static const struct kms_id none;
    kms_id_text(&slot->call.request_id, id);
    if (!kms_id_equal(&slot->call.request_id, &none)) add_trailer(slot, "x-request-id", kms_bytes_text(id));
}

void kms_slot_finish(struct kms_slot *slot)
{
    char id[KMS_ID_TEXT];
    if (kms_failed(slot->call.err)) drop_reply(slot);
    add_id(slot, id);
    if (kms_failed(slot->call.err)) encode_status(slot, id);
}

void kms_slot_encode(struct kms_call *call)
{
    struct kms_slot *slot = call->transport;
    char id[KMS_ID_TEXT];
    if (slot->whole != NULL) {
        kms_part_encode(slot);
        return;
    }
    drop_reply(slot);
    add_id(slot, id);
    bool message = call->method->stream == NULL || call->page; /* a stream ends without one */
    if (!kms_failed(call->err) && message) call->err = encode_message(slot);
    if (kms_failed(call->err)) encode_status(slot, id);
}

/* --- replied --- */

void kms_slot_end(struct kms_slot *slot)
{
    struct kms_queue *queue = slot->queue;
    drop_reply(slot);
    /* A stream lasts as long as its caller likes, which says nothing. */
    if (slot->call.method->stream == NULL) kms_journey_end(&slot->call.journey, queue->lane);
    kms_call_end(&slot->call);
    if (slot->in_batch) atomic_fetch_sub(&queue->rpc->batches, 1);
    slot->in_batch = slot->tell_encodings = false;
    grpc_call_unref(slot->grpc_call);
    slot->grpc_call = NULL;
    kms_slot_put_idle(slot);
    kms_slot_fill(queue, slot->row);
    kms_queue_one_less(queue);
}

static void on_replied(struct kms_tag *tag, bool ok)
{
    (void)ok; /* the client has gone: nothing that could be done about it */
    kms_slot_end((struct kms_slot *)tag);
}

grpc_op kms_slot_status_op(struct kms_slot *slot)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = (grpc_status_code)slot->status;
    if (slot->status != GRPC_STATUS_OK) op.data.send_status_from_server.status_details = &slot->status_text;
    op.data.send_status_from_server.trailing_metadata = slot->trailers;
    op.data.send_status_from_server.trailing_metadata_count = slot->trailer_count;
    return op;
}

/* One batch: splitting it costs 10 to 20 % of a call. */
void kms_slot_reply(struct kms_call *call)
{
    struct kms_slot *slot = call->transport;
    if (slot->whole != NULL) {
        kms_part_back(slot);
        return;
    }
    if (call->method->stream != NULL) {
        kms_slot_send(slot);
        return;
    }
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    size_t count = 1;
    if (slot->message != NULL) {
        ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        ops[count++].data.send_message.send_message = slot->message;
    }
    ops[count++] = kms_slot_status_op(slot);
    ops[count] = (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    ops[count++].data.recv_close_on_server.cancelled = &slot->cancelled;
    slot->tag.fire = on_replied;
    grpc_call_error err = grpc_call_start_batch(slot->grpc_call, ops, count, &slot->tag, NULL);
    if (err == GRPC_CALL_OK) return;
    kms_log(KMS_LOG_ERROR, "rpc.reply", "err=\"%s\"", grpc_call_error_to_string(err));
    kms_slot_end(slot);
}
