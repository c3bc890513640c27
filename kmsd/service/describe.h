/* KeyMetadata of a key, for the replies that carry it. */
#ifndef KMS_SERVICE_DESCRIBE_H
#define KMS_SERVICE_DESCRIBE_H

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/core.h"

/* In the call's arena; NULL: NO_MEMORY. */
Kms__V1__KeyMetadata *kms_describe(struct kms_call *call, const struct kms_key *key);
/* The versions first .. first + count - 1, which the key has. In the call's arena; NULL: NO_MEMORY. */
Kms__V1__KeyVersion **kms_describe_versions(struct kms_call *call, const struct kms_key *key, uint32_t first,
                                            uint32_t count);

#endif
