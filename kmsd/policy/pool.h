/* Memory that is given back all at once: everything a compiled document points to. Not thread-safe. */
#ifndef KMS_POLICY_POOL_H
#define KMS_POLICY_POOL_H

#include "base/bytes.h"

struct kms_pool {
    struct kms_pool_chunk *newest;
};

/* Zeroed, aligned for any of our types; NULL when there is no memory. Valid until kms_pool_free. */
void *kms_pool_alloc(struct kms_pool *pool, size_t size);
/* A copy with a NUL behind it. NO_MEMORY. */
KMS_MUST_USE kms_err kms_pool_copy(struct kms_pool *pool, struct kms_bytes bytes, struct kms_bytes *ret_copy);
void kms_pool_free(struct kms_pool *pool);

#endif
