/* KeyMetadata of a key, for the replies that carry it. */
#ifndef KMS_SERVICE_DESCRIBE_H
#define KMS_SERVICE_DESCRIBE_H

#include "kms/v1/keys.pb-c.h"
#include "kmsd/service/core.h"

/* In the call's arena; NULL: NO_MEMORY. */
Kms__V1__KeyMetadata *kms_describe(struct kms_call *call, const struct kms_key *key);

#endif
