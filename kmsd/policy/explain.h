/*
 * Why nothing in a document allows a request, in words: which Allow statements came near, and what of each
 * did not fit. Looks at the compiled document; the decision itself is kms_policy_decide's alone. Thread-safe.
 */
#ifndef KMS_POLICY_EXPLAIN_H
#define KMS_POLICY_EXPLAIN_H

#include "kmsd/policy/policy.h"

enum { KMS_MISSES = 8, KMS_MISS_BYTES = 512 };
struct kms_miss {
    const char *statement; /* Sid or "#N", borrowed from the document */
    char words[KMS_MISS_BYTES];
};

/* The nearest first: those where least is missing. A statement that fits neither in principal nor in action
 * is not near. Returns how many; 0 as well for a NULL policy. */
size_t kms_policy_misses(const kms_policy *policy, const struct kms_access_request *request,
                         struct kms_miss misses[KMS_MISSES]);

#endif
