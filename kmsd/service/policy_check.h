/* What a key policy must pass before it is stored. */
#ifndef KMS_SERVICE_POLICY_CHECK_H
#define KMS_SERVICE_POLICY_CHECK_H

#include "kmsd/service/core.h"

/* Enforces separation (or only notes what is not separated, under policy.separation = warn) and, unless
 * the call bypasses it, that the caller can change the document again. POLICY_NOT_SEPARATED,
 * POLICY_LOCKOUT. */
KMS_MUST_USE kms_err kms_policy_accept(struct kms_call *call, const kms_policy *policy,
                                       const char *key_id_text);
/* The document of a key that was made without one: the caller administers, nobody uses. In the arena; NULL:
 * NO_MEMORY. */
char *kms_policy_default(struct kms_call *call);

#endif
