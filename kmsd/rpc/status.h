/* From kms_err to what a gRPC client sees: status code, a sentence, and google.rpc.Status with ErrorInfo.
 * Thread-safe. */
#ifndef KMS_RPC_STATUS_H
#define KMS_RPC_STATUS_H

#include "base/bytes.h"

enum { KMS_STATUS_MESSAGE_BYTES = 512, KMS_STATUS_DETAILS_BYTES = 1536, KMS_STATUS_PAIRS = 4 };
#define KMS_STATUS_DOMAIN  "kmsd"
#define KMS_STATUS_TRAILER "grpc-status-details-bin" /* https://grpc.io/docs/guides/error/ */

struct kms_status {
    int code;                               /* a grpc_status_code */
    char message[KMS_STATUS_MESSAGE_BYTES]; /* UTF-8: what kms_err_text says, then why */
    uint8_t details[KMS_STATUS_DETAILS_BYTES];
    size_t details_len; /* a packed google.rpc.Status: code, message, ErrorInfo, RetryInfo */
};

/* A name and value of ErrorInfo's metadata; both short. Borrowed. */
struct kms_status_pair {
    const char *name, *value;
};

struct kms_status_info {
    const struct kms_status_pair *pairs; /* at most KMS_STATUS_PAIRS; more are left out */
    size_t count;
    bool passes; /* LIMIT_EXCEEDED, but not for ever */
};

/* why may be empty or NULL; it stays inside the service when the fault is the service's own (gRPC statuses
 * INTERNAL, UNAVAILABLE and DATA_LOSS). info NULL: no pairs. RetryInfo is there where trying again helps. */
void kms_status_make(kms_err err, const struct kms_why *why, const struct kms_status_info *info,
                     struct kms_status *ret_status);

#endif
