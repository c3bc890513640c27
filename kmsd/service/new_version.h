/* A fresh backing key from the HSM, as a version of a key that nobody else sees yet. */
#ifndef KMS_SERVICE_NEW_VERSION_H
#define KMS_SERVICE_NEW_VERSION_H

#include "kmsd/service/core.h"

/* Fills key->versions[version - 1]. Blocks for one HSM job. */
KMS_MUST_USE kms_err kms_new_version(struct kms_call *call, struct kms_key *key, uint32_t version);

#endif
