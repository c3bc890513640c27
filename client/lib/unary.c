/* The engine of calls: slots that are idle, running, or waiting for their next attempt, around one completion
 * queue. */
#include "client/lib/unary.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "client/lib/attempt.h"
#include "client/lib/channel.h"
#include "client/lib/failure.h"
#include "client/lib/retry.h"

static const struct kms_rpc *row_of(const struct kms_unary *call)
{
    return call->row != NULL ? call->row : kms_rpc_of(call->rpc);
}

enum slot_state { IDLE, WAITING, RUNNING };

struct slot {
    struct kms_attempt attempt; /* first: the queue's tag is a pointer to it */
    enum slot_state state;
    struct kms_unary *call;
    uint32_t tried;         /* attempts so far */
    uint64_t not_before_us; /* WAITING: when the next attempt may start */
};

struct run {
    struct kms_lane lane;
    uint32_t attempts_max;
    struct kms_unary *calls;
    size_t count, next, live; /* calls; the first one without a slot so far; slots that are not idle */
    struct slot *slots;
    size_t slot_count;
};

static void end_call(struct run *run, struct slot *slot)
{
    slot->state = IDLE;
    run->live--;
}

static void start_attempt(struct run *run, struct slot *slot)
{
    slot->tried++;
    slot->state = RUNNING;
    kms_err err = kms_attempt_start(&slot->attempt, &run->lane, row_of(slot->call), slot->call->request);
    if (!kms_failed(err)) return;
    kms_error_local(&slot->call->error, err, NULL);
    end_call(run, slot);
}

/* Gives every idle slot a call and starts every attempt that is due. Tells when the next one is due,
 * KMS_ATTEMPT_NEVER: none. */
static uint64_t start_due(struct run *run)
{
    uint64_t now_us = kms_monotonic_us(), next_due_us = KMS_ATTEMPT_NEVER;
    for (size_t i = 0; i < run->slot_count; i++) {
        struct slot *slot = &run->slots[i];
        if (slot->state == IDLE && run->next < run->count) {
            *slot = (struct slot){.state = WAITING, .call = &run->calls[run->next++]};
            run->live++;
        }
        if (slot->state == WAITING && slot->not_before_us <= now_us) start_attempt(run, slot);
        if (slot->state == WAITING && slot->not_before_us < next_due_us) next_due_us = slot->not_before_us;
    }
    return next_due_us;
}

/* Another attempt, or false when it is not safe, not promised to help, or would only meet the deadline. */
static bool wait_for_retry(struct run *run, struct slot *slot)
{
    const struct kms_unary *call = slot->call;
    enum kms_repeat repeat = row_of(call)->repeat;
    if (!kms_retry_allowed(repeat, call->has_token, &call->error, slot->tried, run->attempts_max))
        return false;
    uint32_t random = 0;
    kms_ignore(kms_random(&random, sizeof random)); /* without it the pause is short, nothing worse */
    uint64_t due_us = kms_monotonic_us() + kms_retry_wait_us(slot->tried, random);
    if (due_us >= run->lane.deadline_us) return false;
    slot->not_before_us = due_us;
    slot->state = WAITING;
    return true;
}

static void run_all(struct run *run)
{
    while (run->next < run->count || run->live > 0) {
        uint64_t due_us =
            start_due(run);           /* never: no attempt waits, and those that run end by their deadlines */
        if (run->live == 0) continue; /* all that were started failed at once */
        grpc_event event = grpc_completion_queue_next(run->lane.queue, kms_attempt_time(due_us), NULL);
        if (event.type != GRPC_OP_COMPLETE) continue;
        struct slot *slot = event.tag;
        struct kms_unary *call = slot->call;
        bool ok = kms_attempt_finish(&slot->attempt, row_of(call), &call->result, &call->error);
        if (ok || !wait_for_retry(run, slot)) end_call(run, slot);
    }
}

static uint32_t timeout_of(const kms_client *client, const struct kms_call_options *options)
{
    uint32_t timeout_ms =
        options != NULL && options->timeout_ms != 0 ? options->timeout_ms : client->timeout_ms;
    return timeout_ms < KMS_CLIENT_TIMEOUT_MAX_MS ? timeout_ms : KMS_CLIENT_TIMEOUT_MAX_MS;
}

/* The tokens of the options become those of the request. False: it takes none. */
static bool put_grant_tokens(const struct kms_call_options *options, struct kms_unary *call)
{
    if (options == NULL || options->grant_token_count == 0) return true;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(call->request->descriptor, "grant_tokens");
    if (field == NULL) return false;
    char *request =
        (char *)(uintptr_t)call->request; /* that of the function that calls us: not const there */
    *(size_t *)(void *)(request + field->quantifier_offset) = options->grant_token_count;
    *(const char *const **)(void *)(request + field->offset) = options->grant_tokens;
    return true;
}

bool kms_unary_run(kms_client *client, const struct kms_call_options *options, struct kms_unary *calls,
                   size_t count, uint32_t in_flight)
{
    static const struct kms_why no_tokens = {.text = "this method takes no grant tokens"};
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        calls[i].result = NULL;
        good = good && put_grant_tokens(options, &calls[i]);
        kms_error_local(&calls[i].error, good ? KMS_FAIL(NO_MEMORY) : KMS_FAIL(INVALID_ARGUMENT),
                        good ? NULL : &no_tokens);
    }
    if (!good) return false;
    struct run run = {.attempts_max = client->attempts, .calls = calls, .count = count};
    if (in_flight == 0) in_flight = KMS_IN_FLIGHT;
    if (in_flight > KMS_IN_FLIGHT_MAX) in_flight = KMS_IN_FLIGHT_MAX;
    run.slot_count = count < in_flight ? count : in_flight;
    run.slots = calloc(run.slot_count > 0 ? run.slot_count : 1, sizeof *run.slots);
    if (run.slots == NULL) return false;
    kms_lane_open(client, kms_monotonic_us() + timeout_of(client, options) * UINT64_C(1000), &run.lane);
    run_all(&run);
    kms_lane_close(&run.lane);
    free(run.slots);
    bool ok = true;
    for (size_t i = 0; i < count; i++) ok = ok && calls[i].error.code == 0;
    return ok;
}

bool kms_unary_one(kms_client *client, const struct kms_call_options *options, struct kms_unary *call,
                   void **ret_result, struct kms_error *error)
{
    bool ok = kms_unary_run(client, options, call, 1, 1);
    if (ok && ret_result != NULL) *ret_result = call->result;
    if (error != NULL) *error = call->error;
    return ok;
}
