/*
 * What is different with a stream: its close has an event of its own from the beginning, so that it is known
 * when the client has gone; its messages leave one by one, the next when gRPC has written the one before.
 */
#include <grpc/byte_buffer.h>

#include "base/log.h"
#include "kmsd/rpc/internal.h"
#include "kmsd/rpc/status.h"

static void one_less(struct kms_slot *slot)
{
    if (--slot->open == 0) kms_slot_end(slot);
}

static bool started(struct kms_slot *slot, const grpc_op *ops, size_t count, struct kms_tag *tag)
{
    grpc_call_error err = grpc_call_start_batch(slot->grpc_call, ops, count, tag, NULL);
    if (err != GRPC_CALL_OK)
        kms_log(KMS_LOG_ERROR, "rpc.stream", "err=\"%s\"", grpc_call_error_to_string(err));
    return err == GRPC_CALL_OK;
}

static struct kms_slot *slot_of_close(struct kms_tag *tag)
{
    return (struct kms_slot *)(void *)((char *)tag - offsetof(struct kms_slot, close_tag));
}

static void on_closed(struct kms_tag *tag, bool ok)
{
    struct kms_slot *slot = slot_of_close(tag);
    if (!ok || slot->cancelled) atomic_store(&slot->call.gone, true);
    one_less(slot);
}

void kms_slot_watch(struct kms_slot *slot)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &slot->cancelled;
    slot->close_tag.fire = on_closed;
    slot->begun = false;
    slot->open = 1;
    if (started(slot, &op, 1, &slot->close_tag)) slot->open++;
}

static void on_ended(struct kms_tag *tag, bool ok)
{
    (void)ok;
    one_less((struct kms_slot *)tag);
}

static void on_written(struct kms_tag *tag, bool ok)
{
    struct kms_slot *slot = (struct kms_slot *)tag;
    grpc_byte_buffer_destroy(slot->message);
    slot->message = NULL;
    kms_pipeline_written(slot->queue->rpc->parts.pipeline, &slot->call, ok);
}

void kms_slot_send(struct kms_slot *slot)
{
    grpc_op ops[2];
    size_t count = 0;
    bool page = slot->call.page;
    if (!slot->begun) ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    slot->begun = true;
    if (page) {
        ops[count] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
        ops[count++].data.send_message.send_message = slot->message;
    } else {
        ops[count++] = kms_slot_status_op(slot);
    }
    slot->tag.fire = page ? on_written : on_ended;
    if (!started(slot, ops, count, &slot->tag)) slot->tag.fire(&slot->tag, false);
}

void kms_slot_cancel(struct kms_slot *slot, kms_err err)
{
    struct kms_status status;
    kms_status_make(err, NULL, NULL, &status);
    grpc_call_cancel_with_status(slot->grpc_call, (grpc_status_code)status.code, status.message, NULL);
}
