/*
 * Streams: calls whose answer is many messages. A stream is one parcel with one decision, an attempt on
 * record before its first message and an outcome behind its last one. In between it goes round:
 *
 *   admin thread makes a page -> rpc sends it -> gRPC has written it -> admin thread makes the next
 *                             \-> nothing to send: it waits here, with no thread of its own, until it is due
 *
 * So at most one page of a stream is in memory, and neither a follower nor a slow client holds a thread. One
 * thread watches them all: it wakes those that are due, and ends those whose client has gone, whose deadline
 * has passed, whose caller would not be let in again, and all of them at shutdown, wherever they are.
 */
#ifndef KMS_SERVICE_STREAM_H
#define KMS_SERVICE_STREAM_H

#include "kmsd/service/pipeline.h"

enum { KMS_STREAM_LOOK_MS = 100, KMS_STREAM_CHECK_MS = 1000 }; /* how often: who is due; who may still */

typedef struct kms_streams kms_streams;

struct kms_streams_options {
    unsigned limit; /* at once; more are answered LIMIT_EXCEEDED */
    void *self;
    void (*post)(void *self, struct kms_call *call); /* on to an admin thread. Any thread, never blocks */
};

/* Starts the thread. NO_MEMORY. */
KMS_MUST_USE kms_err kms_streams_start(const struct kms_streams_options *options, kms_streams **ret_streams);
void kms_streams_set_transport(kms_streams *streams, const struct kms_transport *transport);
void kms_streams_stop(kms_streams *streams); /* when none is left; NULL is a no-op */

/* On an admin thread, after the decision: the call is a stream from here on, until kms_stream_go_on says that
 * it is over. LIMIT_EXCEEDED; SHUTTING_DOWN; NO_MEMORY. */
KMS_MUST_USE kms_err kms_stream_enter(struct kms_call *call);
/* On an admin thread: the next step of a stream. True: it is over, and the call goes the way of all calls.
 * False: it is somebody else's already. */
KMS_MUST_USE bool kms_stream_go_on(struct kms_call *call);
/* On an rpc thread: what kms_transport.release took was written, or (ok false) cannot be any more. */
void kms_stream_written(struct kms_call *call, bool ok);
/* Ends all, and lets none begin any more: SHUTTING_DOWN. */
void kms_streams_end(kms_streams *streams);

/* The method's own, between act and close; NULL before. Memory of it is not the arena's, which is wiped after
 * each page. */
void *kms_stream_own(const struct kms_call *call);
void kms_stream_set_own(struct kms_call *call, void *own);

#endif
