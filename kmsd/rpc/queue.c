/* One completion queue and its thread: takes events, tells the pipeline when there are no more, sends
 * replies. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kmsd/rpc/cork.h"
#include "kmsd/rpc/guest.h"
#include "kmsd/rpc/internal.h"

/* The queue whose thread this is. */
static _Thread_local struct kms_queue *here;

static void reply_all(struct kms_call *calls)
{
    struct kms_cork cork = {.count = 0};
    for (const struct kms_call *call = calls; call != NULL; call = call->next)
        kms_cork_add(&cork, kms_slot_socket(call));
    kms_cork_hold(&cork);
    while (calls != NULL) {
        struct kms_call *call = calls;
        calls = call->next;
        call->next = NULL;
        kms_slot_reply(call);
    }
    kms_cork_let_go(&cork);
}

static void fire_back(struct kms_tag *tag, bool ok)
{
    struct kms_queue *queue = (struct kms_queue *)tag;
    (void)ok;
    pthread_mutex_lock(&queue->lock);
    struct kms_call *calls = queue->back;
    queue->back = NULL;
    queue->back_end = &queue->back;
    queue->woken = false;
    pthread_mutex_unlock(&queue->lock);
    reply_all(calls);
}

/* Wakes the thread of the queue by an empty batch, the one way that gRPC's C interface has. The batch needs a
 * live call: the first one in the list is, as long as the lock keeps the thread from taking the list. */
static void wake(struct kms_queue *queue)
{
    if (queue->woken || queue->back == NULL) return;
    queue->woken = true;
    grpc_call_error err =
        grpc_call_start_batch(kms_slot_grpc_call(queue->back), NULL, 0, &queue->back_tag, NULL);
    if (err == GRPC_CALL_OK) return;
    kms_log(KMS_LOG_ERROR, "rpc.wake", "err=\"%s\"", grpc_call_error_to_string(err));
    queue->woken = false; /* the next release tries again */
}

/* Takes the queue's calls out of the array and returns how many are left: once the lock is let go, a call may
 * be over and its slot in use for the next one. */
static size_t hand_back(struct kms_queue *queue, struct kms_call **calls, size_t count)
{
    size_t left = 0;
    pthread_mutex_lock(&queue->lock);
    for (size_t i = 0; i < count; i++) {
        if (kms_slot_queue(calls[i]) != queue) {
            calls[left++] = calls[i];
            continue;
        }
        calls[i]->next = NULL;
        *queue->back_end = calls[i];
        queue->back_end = &calls[i]->next;
    }
    wake(queue);
    pthread_mutex_unlock(&queue->lock);
    return left;
}

/*
 * Starting a batch from another thread contends for the connection and makes gRPC shift work to a thread of
 * its own, 5 to 10 us a call. So calls of other queues travel back to theirs. Those of this thread's queue
 * ended as they began. What was refused is answered with the next flush, together, as a commit's calls are,
 * since that comes in crowds; anything else, as in kmsd-empty (tests/bench), at once, as gRPC does it by
 * itself.
 */
void kms_queue_release(struct kms_rpc *rpc, struct kms_call **calls, size_t count)
{
    /* One that ends where it began is by far most of what this thread releases: nobody else's lock for it. */
    bool own = here != NULL && count == 1 && kms_slot_queue(calls[0]) == here;
    /* With the last call rpc itself may end: count is looked at first. */
    for (unsigned i = 0; !own && count > 0 && i < rpc->queue_count; i++) {
        struct kms_queue *queue = &rpc->queues[i];
        if (queue != here) count = hand_back(queue, calls, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (!calls[i]->silent) {
            kms_slot_reply(calls[i]);
            continue;
        }
        calls[i]->next = NULL;
        *here->refused_end = calls[i];
        here->refused_end = &calls[i]->next;
    }
}

void kms_queue_one_less(struct kms_queue *queue)
{
    struct kms_rpc *rpc = queue->rpc;
    if (atomic_fetch_sub(&rpc->active, 1) > 1) return;
    pthread_mutex_lock(&rpc->lock);
    if (rpc->stopping) pthread_cond_broadcast(&rpc->changed);
    pthread_mutex_unlock(&rpc->lock);
}

/* What is accepted goes to the workers first. */
static void flush(struct kms_queue *queue)
{
    queue->begun = 0;
    kms_pipeline_flush(queue->rpc->parts.pipeline, queue->lane);
    struct kms_call *refused = queue->refused;
    queue->refused = NULL;
    queue->refused_end = &queue->refused;
    if (refused != NULL) reply_all(refused);
}

/* Waits until the server runs, then keeps slots waiting for every method. */
static void begin(struct kms_queue *queue)
{
    struct kms_rpc *rpc = queue->rpc;
    pthread_mutex_lock(&rpc->lock);
    while (!rpc->go) pthread_cond_wait(&rpc->changed, &rpc->lock);
    bool serving = rpc->serving;
    pthread_mutex_unlock(&rpc->lock);
    if (serving) kms_unknown_begin(queue);
    if (serving) kms_guests_fill(queue);
    for (size_t row = 0; serving && row < rpc->row_count; row++) kms_slot_fill(queue, row);
}

static void *run(void *self)
{
    struct kms_queue *queue = self;
    here = queue;
    begin(queue);
    for (;;) {
        gpr_timespec wait =
            queue->begun > 0 ? gpr_inf_past(GPR_CLOCK_MONOTONIC) : gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(queue->cq, wait, NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) return NULL;
        if (event.type == GRPC_OP_COMPLETE) {
            struct kms_tag *tag = event.tag;
            tag->fire(tag, event.success != 0);
        }
        if (queue->begun > 0 && (event.type == GRPC_QUEUE_TIMEOUT || queue->begun >= KMS_RPC_BATCH))
            flush(queue);
    }
}

kms_err kms_queue_start(struct kms_rpc *rpc, unsigned lane)
{
    struct kms_queue *queue = &rpc->queues[lane];
    *queue = (struct kms_queue){.back_tag = {fire_back},
                                .rpc = rpc,
                                .lane = lane,
                                .back_end = &queue->back,
                                .refused_end = &queue->refused};
    pthread_mutex_init(&queue->lock, NULL);
    queue->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(rpc->server, queue->cq, NULL);
    queue->waiting = calloc(rpc->row_count, sizeof *queue->waiting);
    if (queue->waiting == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_unknown_new(queue));
    KMS_TRY(kms_certificates_new(rpc->parts.authn, rpc->options.connections, &queue->certificates));
    if (pthread_create(&queue->thread, NULL, run, queue) != 0) return KMS_FAIL(NO_MEMORY);
    queue->running = true;
    char name[16];
    snprintf(name, sizeof name, "rpc-%u", lane);
    pthread_setname_np(queue->thread, name);
    return KMS_OK;
}

void kms_queue_stop(struct kms_queue *queue)
{
    grpc_completion_queue_shutdown(queue->cq);
    if (queue->running) pthread_join(queue->thread, NULL);
    queue->running = false;
}

void kms_queue_clear(struct kms_queue *queue)
{
    kms_slots_free(queue);
    kms_unknown_free(queue);
    grpc_completion_queue_destroy(queue->cq);
    kms_certificates_free(queue->certificates);
    free(queue->waiting);
    pthread_mutex_destroy(&queue->lock);
}
