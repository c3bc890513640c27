/* One batch of six operations makes a unary call; this file starts it and takes its outcome apart. A stream
 * is the same in two batches, and one more for each message. */
#include "client/lib/attempt.h"

#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <string.h>

#include "base/clock.h"
#include "client/lib/channel.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"

/* What a decoded reply may take of locked memory. */
enum { REPLY_BYTES = 4 * 1024 * 1024 };

void kms_lane_open(const kms_client *client, uint64_t deadline_us, struct kms_lane *ret_lane)
{
    *ret_lane = (struct kms_lane){.channel = client->channel,
                                  .queue = grpc_completion_queue_create_for_next(NULL),
                                  .deadline_us = deadline_us,
                                  .correlation_id =
                                      client->correlation_id[0] != '\0' ? client->correlation_id : NULL};
}

void kms_lane_close(struct kms_lane *lane)
{
    grpc_completion_queue_shutdown(lane->queue);
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    while (grpc_completion_queue_next(lane->queue, forever, NULL).type != GRPC_QUEUE_SHUTDOWN) continue;
    grpc_completion_queue_destroy(lane->queue);
}

gpr_timespec kms_attempt_time(uint64_t due_us)
{
    uint64_t now_us = kms_monotonic_us();
    if (due_us == KMS_ATTEMPT_NEVER) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    int64_t left_us = due_us > now_us ? (int64_t)(due_us - now_us) : 0;
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(left_us, GPR_TIMESPAN));
}

void kms_attempt_release(struct kms_attempt *attempt)
{
    if (attempt->call != NULL) grpc_call_unref(attempt->call);
    kms_buffer_destroy(attempt->request);
    kms_buffer_destroy(attempt->reply);
    grpc_metadata_array_destroy(&attempt->leading);
    grpc_metadata_array_destroy(&attempt->trailing);
    grpc_slice_unref(attempt->status_text);
    grpc_slice_unref(attempt->sent.value);
    *attempt = (struct kms_attempt){0};
}

static void prepare(struct kms_attempt *attempt, const struct kms_lane *lane, const struct kms_rpc *rpc,
                    const ProtobufCMessage *request)
{
    *attempt = (struct kms_attempt){.status_text = grpc_empty_slice(), .sent.value = grpc_empty_slice()};
    grpc_metadata_array_init(&attempt->leading);
    grpc_metadata_array_init(&attempt->trailing);
    /* A copy: core remembers paths as long as the connection lives, and compares the next ones with them. */
    grpc_slice path = grpc_slice_from_copied_string(rpc->path);
    attempt->call = grpc_channel_create_call(lane->channel, NULL, GRPC_PROPAGATE_DEFAULTS, lane->queue, path,
                                             NULL, kms_attempt_time(lane->deadline_us), NULL);
    grpc_slice_unref(path);
    attempt->request = kms_message_pack(request);
    const char *id = lane->correlation_id;
    if (id == NULL) return;
    attempt->sent = (grpc_metadata){.key = grpc_slice_from_static_string("x-correlation-id"),
                                    .value = grpc_slice_from_copied_string(id)};
    attempt->sent_count = 1;
}

enum { SEND, MESSAGE, CLOSE, STATUS, LEADING, REPLY, OPS };

static void fill_ops(struct kms_attempt *attempt, grpc_op ops[OPS])
{
    ops[SEND] =
        (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA,
                  .data.send_initial_metadata = {.count = attempt->sent_count, .metadata = &attempt->sent}};
    ops[MESSAGE] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = attempt->request};
    ops[CLOSE] = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    ops[STATUS] = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                            .data.recv_status_on_client = {.trailing_metadata = &attempt->trailing,
                                                           .status = &attempt->status,
                                                           .status_details = &attempt->status_text}};
    ops[LEADING] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA,
                             .data.recv_initial_metadata.recv_initial_metadata = &attempt->leading};
    ops[REPLY] = (grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &attempt->reply};
}

kms_err kms_attempt_start(struct kms_attempt *attempt, const struct kms_lane *lane, const struct kms_rpc *rpc,
                          const ProtobufCMessage *request)
{
    grpc_op ops[OPS];
    prepare(attempt, lane, rpc, request);
    fill_ops(attempt, ops);
    if (grpc_call_start_batch(attempt->call, ops, OPS, attempt, NULL) == GRPC_CALL_OK) return KMS_OK;
    kms_attempt_release(attempt);
    return KMS_FAIL(INTERNAL);
}

/* Until the status comes, what was sent stays where it is. */
kms_err kms_attempt_start_stream(struct kms_attempt *attempt, const struct kms_lane *lane,
                                 const struct kms_rpc *rpc, const ProtobufCMessage *request)
{
    grpc_op ops[OPS];
    prepare(attempt, lane, rpc, request);
    fill_ops(attempt, ops);
    if (grpc_call_start_batch(attempt->call, ops, LEADING, attempt, NULL) == GRPC_CALL_OK) return KMS_OK;
    kms_attempt_release(attempt);
    return KMS_FAIL(INTERNAL);
}

void *kms_attempt_message(struct kms_attempt *attempt)
{
    return &attempt->reply;
}

bool kms_attempt_read(struct kms_attempt *attempt)
{
    grpc_op ops[OPS];
    fill_ops(attempt, ops);
    size_t first = attempt->reading ? REPLY : LEADING;
    attempt->reading = true;
    return grpc_call_start_batch(attempt->call, &ops[first], OPS - first, kms_attempt_message(attempt),
                                 NULL) == GRPC_CALL_OK;
}

static struct kms_bytes slice_view(const grpc_slice *slice)
{
    return kms_bytes_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

/* Its raw bytes: of a name in -bin core has undone the base64. Empty: it did not come. */
static struct kms_bytes trailer(const struct kms_attempt *attempt, const char *name)
{
    for (size_t i = 0; i < attempt->trailing.count; i++)
        if (kms_bytes_equal(slice_view(&attempt->trailing.metadata[i].key), kms_bytes_text(name)))
            return slice_view(&attempt->trailing.metadata[i].value);
    return (struct kms_bytes){0};
}

static kms_err take_reply(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                          struct kms_why *why)
{
    kms_why_set(why, "the reply to %s cannot be read", rpc->path);
    if (attempt->reply == NULL) return KMS_FAIL(INTERNAL);
    kms_arena arena;
    kms_arena_init(&arena, REPLY_BYTES);
    ProtobufCMessage *reply = NULL;
    kms_err err = kms_message_unpack(attempt->reply, rpc->reply, &arena, &reply);
    if (!kms_failed(err)) {
        why->text[0] = '\0';
        err = rpc->take(reply, ret_result, why);
    }
    kms_arena_wipe(&arena);
    return err;
}

bool kms_attempt_take(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                      struct kms_error *error)
{
    struct kms_why why = {0};
    *ret_result = NULL;
    if (attempt->reply == NULL) return true;
    kms_err err = take_reply(attempt, rpc, ret_result, &why);
    kms_buffer_destroy(attempt->reply);
    attempt->reply = NULL;
    if (kms_failed(err)) kms_error_local(error, err, &why);
    return !kms_failed(err);
}

bool kms_attempt_good(const struct kms_attempt *attempt, struct kms_error *error)
{
    if (attempt->status == GRPC_STATUS_OK) return true;
    kms_error_remote(error, (int)attempt->status, slice_view(&attempt->status_text),
                     trailer(attempt, "grpc-status-details-bin"));
    kms_error_request(error, trailer(attempt, "x-request-id"));
    return false;
}

bool kms_attempt_finish(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                        struct kms_error *error)
{
    struct kms_why why = {0};
    bool ok = kms_attempt_good(attempt, error);
    if (ok) {
        kms_err err = take_reply(attempt, rpc, ret_result, &why);
        ok = !kms_failed(err);
        if (ok)
            kms_error_clear(error);
        else
            kms_error_local(error, err, &why);
        if (!ok) kms_error_request(error, trailer(attempt, "x-request-id"));
    }
    kms_attempt_release(attempt);
    return ok;
}
