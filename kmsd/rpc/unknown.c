/*
 * Calls to methods that the service does not have. gRPC's C core lets them wait for ever unless somebody asks
 * for them, so somebody does, and answers UNIMPLEMENTED. They never reach the pipeline: there is no method to
 * record.
 */
#include <stdlib.h>

#include "base/log.h"
#include "kmsd/metrics/metric.h"
#include "kmsd/rpc/internal.h"

struct kms_unknown {
    struct kms_tag tag;
    struct kms_queue *queue;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int cancelled;
};

static void on_accepted(struct kms_tag *tag, bool ok);

static void request(struct kms_unknown *unknown)
{
    grpc_completion_queue *cq = unknown->queue->cq;
    unknown->tag.fire = on_accepted;
    grpc_call_error err =
        grpc_server_request_call(unknown->queue->rpc->server, &unknown->call, &unknown->details,
                                 &unknown->metadata, cq, cq, &unknown->tag);
    if (err != GRPC_CALL_OK)
        kms_log(KMS_LOG_ERROR, "rpc.request", "err=\"%s\"", grpc_call_error_to_string(err));
}

static void end(struct kms_unknown *unknown)
{
    grpc_slice_unref(unknown->details.method);
    grpc_slice_unref(unknown->details.host);
    grpc_call_details_init(&unknown->details);
    grpc_call_unref(unknown->call);
    request(unknown);
    kms_queue_one_less(unknown->queue);
}

static void on_replied(struct kms_tag *tag, bool ok)
{
    (void)ok;
    end((struct kms_unknown *)tag);
}

static void on_accepted(struct kms_tag *tag, bool ok)
{
    struct kms_unknown *unknown = (struct kms_unknown *)tag;
    if (!ok) return; /* the server is shutting down */
    kms_metric_add(KMS_METRIC_UNKNOWN_CALLS, 1);
    atomic_fetch_add(&unknown->queue->rpc->active, 1);
    grpc_slice text = grpc_slice_from_static_string("this service has no such method");
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.send_status_from_server.status = GRPC_STATUS_UNIMPLEMENTED;
    ops[1].data.send_status_from_server.status_details = &text;
    ops[2].data.recv_close_on_server.cancelled = &unknown->cancelled;
    unknown->tag.fire = on_replied;
    grpc_call_error err = grpc_call_start_batch(unknown->call, ops, 3, &unknown->tag, NULL);
    if (err == GRPC_CALL_OK) return;
    kms_log(KMS_LOG_ERROR, "rpc.reply", "err=\"%s\"", grpc_call_error_to_string(err));
    end(unknown);
}

kms_err kms_unknown_new(struct kms_queue *queue)
{
    queue->unknown = calloc(KMS_RPC_UNKNOWN_SLOTS, sizeof *queue->unknown);
    if (queue->unknown == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < KMS_RPC_UNKNOWN_SLOTS; i++) {
        queue->unknown[i].queue = queue;
        grpc_call_details_init(&queue->unknown[i].details);
        grpc_metadata_array_init(&queue->unknown[i].metadata);
    }
    return KMS_OK;
}

void kms_unknown_begin(struct kms_queue *queue)
{
    for (size_t i = 0; i < KMS_RPC_UNKNOWN_SLOTS; i++) request(&queue->unknown[i]);
}

void kms_unknown_free(struct kms_queue *queue)
{
    for (size_t i = 0; queue->unknown != NULL && i < KMS_RPC_UNKNOWN_SLOTS; i++) {
        grpc_call_details_destroy(&queue->unknown[i].details);
        grpc_metadata_array_destroy(&queue->unknown[i].metadata);
    }
    free(queue->unknown);
}
