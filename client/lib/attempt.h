/*
 * One attempt of one call: from the first byte sent to the status received. Plaintext that passes through is
 * wiped when the attempt is finished. Not thread-safe: one thread drives an attempt.
 */
#ifndef KMS_CLIENT_ATTEMPT_H
#define KMS_CLIENT_ATTEMPT_H

#include <grpc/grpc.h>
#include <kms/client.h>

#include "client/lib/rpc.h"

struct kms_attempt {
    grpc_call *call;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array leading, trailing;
    grpc_status_code status;
    grpc_slice status_text;
    grpc_metadata sent; /* the caller's own id */
    size_t sent_count;
    bool reading; /* of a stream: it was asked for a message */
};

/* Where calls go and where their ends are told. */
struct kms_lane {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    uint64_t deadline_us;       /* of every call on it, by kms_monotonic_us */
    const char *correlation_id; /* printable ASCII; NULL: none */
};

/* A completion queue of its own on the connection of client, borrowed. */
void kms_lane_open(const kms_client *client, uint64_t deadline_us, struct kms_lane *ret_lane);
void kms_lane_close(struct kms_lane *lane); /* after the end of every call on it */

/* due_us, of kms_monotonic_us, as gRPC wants it; KMS_ATTEMPT_NEVER: in the infinite future. */
#define KMS_ATTEMPT_NEVER UINT64_MAX
gpr_timespec kms_attempt_time(uint64_t due_us);
/* Sends request; the queue gives attempt as its tag when it has ended, at the latest at the deadline.
 * INTERNAL: could not be started; there is nothing to finish then. */
KMS_MUST_USE kms_err kms_attempt_start(struct kms_attempt *attempt, const struct kms_lane *lane,
                                       const struct kms_rpc *rpc, const ProtobufCMessage *request);

/* After the queue gave the tag: the result of rpc, or false and the error. Gives everything back. */
bool kms_attempt_finish(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                        struct kms_error *error);

/* An answer of many messages: the queue gives the attempt when the call has ended, and kms_attempt_message
 * when there is a message, or there will be none any more. INTERNAL as above. */
KMS_MUST_USE kms_err kms_attempt_start_stream(struct kms_attempt *attempt, const struct kms_lane *lane,
                                              const struct kms_rpc *rpc, const ProtobufCMessage *request);
void *kms_attempt_message(struct kms_attempt *attempt); /* a tag */
/* Asks for the next message; one at a time. False: the call is over. */
KMS_MUST_USE bool kms_attempt_read(struct kms_attempt *attempt);
/* The message that came, as kms_attempt_finish does it; *ret_result NULL: there will be none any more. */
KMS_MUST_USE bool kms_attempt_take(struct kms_attempt *attempt, const struct kms_rpc *rpc, void **ret_result,
                                   struct kms_error *error);
/* After the queue gave the attempt: false when the server says what went wrong. */
KMS_MUST_USE bool kms_attempt_good(const struct kms_attempt *attempt, struct kms_error *error);
void kms_attempt_release(
    struct kms_attempt *attempt); /* of a stream, when the queue has given both tags back */

#endif
