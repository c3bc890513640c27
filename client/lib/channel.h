/* The connection behind a kms_client. Immutable after open, so any thread may read it. */
#ifndef KMS_CLIENT_CHANNEL_H
#define KMS_CLIENT_CHANNEL_H

#include <grpc/grpc.h>
#include <kms/client.h>

#include "base/err.h"

enum {
    KMS_CLIENT_TIMEOUT_MS = 10 * 1000, /* default deadline of a call */
    KMS_CLIENT_ATTEMPTS = 5,           /* default number of attempts */
    KMS_CLIENT_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000,
    KMS_CLIENT_CORRELATION_BYTES = 128, /* with its NUL; the server would cut a longer one */
};

struct kms_client {
    grpc_channel *channel;
    uint32_t timeout_ms, attempts;
    char correlation_id[KMS_CLIENT_CORRELATION_BYTES]; /* "": none */
};

/* "dns:///HOST:PORT" for HOST:PORT, "unix:/PATH" as it is. CONFIG_INVALID: neither, or too long for to. */
KMS_MUST_USE kms_err kms_channel_target(const char *endpoint, char *to, size_t size, struct kms_why *why);

#endif
