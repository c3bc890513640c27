/*
 * One attempt of one call: from the first byte sent to the status received. Plaintext that passes through is
 * wiped when the attempt is finished. Not thread-safe: one thread drives an attempt.
 */
#ifndef KMS_CLIENT_ATTEMPT_H
#define KMS_CLIENT_ATTEMPT_H

#include <grpc/grpc.h>
#include <kms/error.h>

#include "client/lib/rpc.h"

struct kms_attempt {
    grpc_call *call;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array leading, trailing;
    grpc_status_code status;
    grpc_slice status_text;
    grpc_metadata sent; /* the caller's own id */
};

/* Where calls go and where their ends are told. */
struct kms_lane {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    uint64_t deadline_us;       /* of every call on it, by kms_monotonic_us */
    const char *correlation_id; /* printable ASCII; NULL: none */
};

/* due_us, of kms_monotonic_us, as gRPC wants it. */
gpr_timespec kms_attempt_time(uint64_t due_us);
/* Sends request; the queue gives attempt as its tag when it has ended, at the latest at the deadline.
 * INTERNAL: could not be started; there is nothing to finish then. */
KMS_MUST_USE kms_err kms_attempt_start(struct kms_attempt *attempt, const struct kms_lane *lane,
                                       const struct kms_rpc *rpc, const ProtobufCMessage *request);

/* After the queue gave the tag: the result of rpc, or false and the error. Gives everything back. */
bool kms_attempt_finish(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                        struct kms_error *error);

#endif
