/*
 * A message of a client as gRPC holds it, to be read in one piece: as it lies there, collected where it
 * came in pieces, inflated where the client compressed it (inflate.h). Copies are locked memory.
 */
#ifndef KMS_RPC_MESSAGE_H
#define KMS_RPC_MESSAGE_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "base/bytes.h"

/* Said in an answer of UNSUPPORTED, as gRPC's compression.md wants it. */
#define KMS_MESSAGE_ACCEPTS   "grpc-accept-encoding"
#define KMS_MESSAGE_ENCODINGS "identity, deflate, gzip"

struct kms_message {
    struct kms_bytes wire; /* borrowed from the buffer or from whole */
    uint8_t *whole;        /* owned; NULL: no copy was needed */
    size_t whole_len;
};

/* buffer: the message that call received last. most: bytes, of what comes over the wire and of what comes
 * out of it. What is opened is closed before the buffer goes. Errors: LIMIT_EXCEEDED, UNSUPPORTED (an
 * encoding that is none of ours), BAD_COMPRESSION, INVALID_ARGUMENT, NO_MEMORY; nothing is open then. */
KMS_MUST_USE kms_err kms_message_open(grpc_call *call, grpc_byte_buffer *buffer, size_t most,
                                      struct kms_message *ret_message, struct kms_why *why);
void kms_message_close(struct kms_message *message); /* wipes copies */
void kms_message_wipe(grpc_byte_buffer *buffer);     /* what gRPC holds */

#endif
