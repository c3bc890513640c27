/* How failures become a kms_error: our own, and what a server sent. error may be NULL everywhere.
 * Thread-safe. */
#ifndef KMS_CLIENT_FAILURE_H
#define KMS_CLIENT_FAILURE_H

#include <kms/error.h>

#include "base/bytes.h"

void kms_error_clear(struct kms_error *error);
/* Found on this side: reason and code from base/err.def, the words of why when it has any. */
void kms_error_local(struct kms_error *error, kms_err err, const struct kms_why *why);
/* From a gRPC status. details: the trailer grpc-status-details-bin, a google.rpc.Status whose ErrorInfo of
 * domain "kmsd" gives the reason; empty, malformed or contradicting details are ignored. */
void kms_error_remote(struct kms_error *error, int code, struct kms_bytes message, struct kms_bytes details);
/* What the server calls this call; ignored unless it is a UUID. */
void kms_error_request(struct kms_error *error, struct kms_bytes id);
/* Of an item of a batch, as the server tells it: texts are not trusted. */
void kms_error_item(struct kms_error *error, uint32_t code, const char *reason, const char *message);

#endif
