/*
 * The pipeline: what happens to a call between rpc's decode and rpc's reply. One thread of its own (the
 * finish thread) reads HSM results, finishes calls, appends their audit records, commits once for all of
 * them, and only then gives the replies free (group commit). Admin threads run what may block.
 */
#ifndef KMS_SERVICE_PIPELINE_H
#define KMS_SERVICE_PIPELINE_H

#include "kmsd/audit/audit.h"
#include "kmsd/service/call.h"
#include "kmsd/service/method.h"

typedef struct kms_pipeline kms_pipeline;

/* What the pipeline asks of rpc. They run on the finish thread; of streams on admin threads and on the one
 * that watches them; of calls that are refused without a record on the thread that begins them. */
struct kms_transport {
    void *self;
    /* Turns err, why and reply into wire bytes. May be called twice: a failed commit replaces the answer. */
    void (*encode)(void *self, struct kms_call *call);
    /* The answers may leave now. The calls go back to rpc, which ends them with kms_call_end; but a page
     * (call->page) is followed by kms_pipeline_written. */
    void (*release)(void *self, struct kms_call **calls, size_t count);
    /* A stream has to end, but its page is not written: do not wait for the client. It hears err. */
    void (*cancel)(void *self, struct kms_call *call, kms_err err);
};

/* The HSM has a lane for each of these threads, and one more, of the finish thread. */
struct kms_pipeline_options {
    unsigned rpc_threads; /* lanes 0 .. rpc_threads - 1 */
    unsigned admin_threads;
    unsigned admin_queue; /* calls that may wait for an admin thread */
    unsigned streams;     /* at once */
};

/* core, hsm, audit and authn outlive the pipeline. The finish thread runs from here on, so that kms_hsm_call
 * works. */
KMS_MUST_USE kms_err kms_pipeline_start(const struct kms_pipeline_options *options, struct kms_core *core,
                                        kms_pipeline **ret_pipeline);
void kms_pipeline_set_transport(kms_pipeline *pipeline,
                                const struct kms_transport *transport); /* before the first call */

/* Takes over a call that rpc decoded (or failed to: err and why set, request NULL). Never blocks. From one
 * thread per lane. Every call that is begun is released exactly once. */
void kms_pipeline_begin(kms_pipeline *pipeline, unsigned lane, struct kms_call *call);
/* The rpc thread's queue is empty: send what has been packed to the HSM. */
void kms_pipeline_flush(kms_pipeline *pipeline, unsigned lane);

/* The page of a stream was written, or (ok false) cannot be any more. On the rpc thread; never blocks. */
void kms_pipeline_written(kms_pipeline *pipeline, struct kms_call *call, bool ok);
/* Ends all streams, SHUTTING_DOWN; none begins any more. They come back one by one, as all calls do. */
void kms_pipeline_end_streams(kms_pipeline *pipeline);

/* Writes a record of the service itself and waits until it is durable. Not from rpc or the finish thread. */
KMS_MUST_USE kms_err kms_pipeline_record(kms_pipeline *pipeline, const struct kms_audit_event *event);

/* Gives back what the call holds (key references, arena wiped, in-flight count). rpc calls it when the reply
 * is sent. */
void kms_call_end(struct kms_call *call);

/* The core that it was started with. */
struct kms_core *kms_pipeline_core(const kms_pipeline *pipeline);

/* When nothing is active any more: ends the threads. NULL is a no-op. */
void kms_pipeline_stop(kms_pipeline *pipeline);

#endif
