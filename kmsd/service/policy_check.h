/* What a key policy must pass before it is stored. */
#ifndef KMS_SERVICE_POLICY_CHECK_H
#define KMS_SERVICE_POLICY_CHECK_H

#include "kmsd/service/core.h"

/* Parses the document, enforces separation (or only notes it, under policy.separation = warn) and, unless
 * bypassed, that the caller can change it again. MALFORMED_POLICY, POLICY_NOT_SEPARATED, POLICY_LOCKOUT. */
KMS_MUST_USE kms_err kms_policy_accept(struct kms_call *call, const char *json, bool bypass_lockout,
                                       kms_policy **ret_policy);
/* The document of a key that was made without one: the caller administers, nobody uses. In the arena; NULL:
 * NO_MEMORY. */
char *kms_policy_default(struct kms_call *call);

#endif
