/* What a batch reply becomes: the outcome of each item, in their order. Thread-safe: no state. */
#ifndef KMS_CLIENT_BATCH_H
#define KMS_CLIENT_BATCH_H

#include <kms/error.h>
#include <stddef.h>

#include "base/own.h"

struct kms_outcome {
    void *result; /* owned, of the type that the single call gives; NULL: error says why */
    struct kms_error error;
};
struct kms_outcomes {
    size_t count;
    struct kms_outcome items[];
};

#endif
