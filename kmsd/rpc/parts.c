/*
 * A foreign call that is several of ours (kmsd/dialect/dialect.h). Each part is a call in a slot of its own,
 * which gRPC knows nothing of, and goes through the pipeline by itself. The slot of the foreign call waits
 * until all are back; it is packed when the last part is encoded, so that a failure there is on record.
 */
#include <string.h>

#include "kmsd/rpc/internal.h"

/* In the arena of the foreign call. */
struct kms_many {
    struct kms_parts parts;
    struct kms_slot **slots;
    size_t encoded; /* whose answer is in the plan; the finish thread's */
    size_t back;    /* that the pipeline has done with; the queue's */
};

static const struct kms_dialect_split *split_of(const struct kms_slot *slot)
{
    return slot->queue->rpc->rows[slot->row].dialect->split;
}

/* Each counts as an active call, as they hold as much memory. */
static kms_err enter(struct kms_slot *slot, size_t count)
{
    struct kms_rpc *rpc = slot->queue->rpc;
    unsigned active = atomic_fetch_add(&rpc->active, (unsigned)count) + (unsigned)count;
    if (active <= rpc->options.calls) return KMS_OK;
    atomic_fetch_sub(&rpc->active, (unsigned)count); /* that of the foreign call is left */
    slot->call.passes = count < rpc->options.calls;
    kms_why_set(&slot->call.why, "%zu calls at once, and %u may be active (limits.calls)", count,
                rpc->options.calls);
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static kms_err call_as(struct kms_slot *slot, const char *principal)
{
    kms_identity *identity;
    struct kms_call *call = &slot->call;
    KMS_TRY(kms_identity_of_other(slot->queue->rpc->parts.authn, principal, "pod", &identity, &call->why));
    kms_identity_unref(call->identity);
    call->identity = identity;
    return KMS_OK;
}

static void end_part(struct kms_slot *part)
{
    struct kms_queue *queue = part->queue;
    kms_journey_end(&part->call.journey, queue->lane);
    kms_call_end(&part->call);
    part->whole = NULL;
    part->grpc_call = NULL;
    kms_slot_put_idle(part);
    kms_queue_one_less(queue);
}

static kms_err take_slots(struct kms_slot *slot, struct kms_many *many)
{
    size_t count = many->parts.count, taken = 0;
    many->slots = kms_call_alloc(&slot->call, count * sizeof *many->slots);
    if (many->slots == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(enter(slot, count));
    while (taken < count && (many->slots[taken] = kms_slot_take_idle(slot->queue)) != NULL) taken++;
    if (taken == count) return KMS_OK;
    while (taken > 0) kms_slot_put_idle(many->slots[--taken]);
    atomic_fetch_sub(&slot->queue->rpc->active, (unsigned)count);
    return KMS_FAIL(NO_MEMORY);
}

kms_err kms_slot_split(struct kms_slot *slot, const ProtobufCMessage *foreign)
{
    struct kms_call *call = &slot->call;
    struct kms_many *many = kms_call_alloc(call, sizeof *many);
    if (many == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(split_of(slot)->split(call, slot->way.door, foreign, &many->parts));
    if (many->parts.principal != NULL) KMS_TRY(call_as(slot, many->parts.principal));
    KMS_TRY(take_slots(slot, many));
    slot->many = many;
    return KMS_OK;
}

static void make_part(struct kms_slot *slot, size_t at)
{
    struct kms_slot *part = slot->many->slots[at];
    const struct kms_call *call = &slot->call;
    part->whole = slot;
    part->at = at;
    part->encoded = false;
    part->row = slot->row;
    part->way = slot->way;
    part->grpc_call = slot->grpc_call; /* lives as long as the foreign call; wakes the queue */
    part->call = (struct kms_call){.method = call->method,
                                   .protocol = call->protocol,
                                   .transport = part,
                                   .identity = kms_identity_ref(call->identity),
                                   .started_us = call->started_us,
                                   .deadline_us = call->deadline_us,
                                   .extra_count = call->extra_count};
    kms_journey_begin(&part->call.journey);
    kms_arena_init(&part->call.arena, slot->queue->rpc->options.arena_bytes);
    memcpy(part->call.peer, call->peer, sizeof call->peer);
    memcpy(part->call.source_ip, call->source_ip, sizeof call->source_ip);
    memcpy(part->call.client, call->client, sizeof call->client);
    memcpy(part->call.correlation_id, call->correlation_id, sizeof call->correlation_id);
    memcpy(part->call.extra, call->extra, sizeof call->extra);
    part->call.err = split_of(slot)->from(&part->call, &slot->many->parts, at);
}

void kms_parts_begin(struct kms_slot *slot)
{
    struct kms_queue *queue = slot->queue;
    struct kms_many *many = slot->many;
    size_t count = many->parts.count;
    for (size_t i = 0; i < count; i++) make_part(slot, i);
    slot->call.journey = (struct kms_journey){0}; /* the parts make theirs */
    queue->begun++;
    /* With the last one the foreign call may be over, and with it its arena. */
    for (size_t i = 0; i < count; i++) {
        struct kms_call *call = &many->slots[i]->call;
        kms_pipeline_begin(queue->rpc->parts.pipeline, queue->lane, call);
    }
}

static kms_err encode(struct kms_slot *part)
{
    struct kms_slot *slot = part->whole;
    struct kms_many *many = slot->many;
    const ProtobufCMessage *answer;
    KMS_TRY(split_of(slot)->to(&part->call, &many->parts, part->at));
    if (++many->encoded < many->parts.count) return KMS_OK;
    kms_err err = split_of(slot)->join(&slot->call, &many->parts, &answer);
    if (!kms_failed(err)) err = kms_slot_pack(slot, answer);
    if (kms_failed(err)) part->call.why = slot->call.why;
    return err;
}

/* Comes again with a failure when the record could not be written. */
void kms_part_encode(struct kms_slot *part)
{
    if (part->encoded || kms_failed(part->call.err)) return;
    part->encoded = true;
    part->call.err = encode(part);
}

/* The words of the first part that failed, and what it is called. */
static void fail(struct kms_slot *slot)
{
    struct kms_many *many = slot->many;
    struct kms_call *call = &slot->call;
    for (size_t i = 0; i < many->parts.count && !kms_failed(call->err); i++) {
        const struct kms_call *part = &many->slots[i]->call;
        if (!kms_failed(part->err)) continue;
        const char *name = split_of(slot)->name(call, &many->parts, i);
        kms_why_set(&call->why, "%s%s%s", name != NULL ? name : "",
                    name != NULL && part->why.text[0] != '\0' ? ": " : "", part->why.text);
        call->err = part->err;
        call->passes = part->passes;
        call->request_id = part->request_id;
    }
}

void kms_part_back(struct kms_slot *part)
{
    struct kms_slot *slot = part->whole;
    struct kms_many *many = slot->many;
    if (++many->back < many->parts.count) return;
    slot->call.request_id = many->slots[0]->call.request_id;
    fail(slot);
    for (size_t i = 0; i < many->parts.count; i++) end_part(many->slots[i]);
    slot->many = NULL;
    kms_slot_finish(slot);
    kms_slot_reply(&slot->call);
}
