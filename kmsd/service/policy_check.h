/* What a key policy must pass before it is stored. */
#ifndef KMS_SERVICE_POLICY_CHECK_H
#define KMS_SERVICE_POLICY_CHECK_H

#include "kmsd/keys/grants.h"
#include "kmsd/service/core.h"

/* Enforces separation, also from the grants of the key (NULL: it has none) and from whoever writes the
 * document (or only notes what is not separated, under policy.separation = warn), and, unless the call
 * bypasses it, that the caller can change the document again. POLICY_NOT_SEPARATED, POLICY_LOCKOUT. */
KMS_MUST_USE kms_err kms_policy_accept(struct kms_call *call, const kms_policy *policy, kms_grants *grants,
                                       const char *key_id_text);
/* What is not separated is only noted under policy.separation = warn: OK then, else err. */
KMS_MUST_USE kms_err kms_separation_enforced(struct kms_call *call, kms_err err);
/* The document of a key that was made without one: the caller administers, nobody uses. In the arena; NULL:
 * NO_MEMORY. */
char *kms_policy_default(struct kms_call *call);
/* Puts on record which document the request brings: its SHA-256. NO_MEMORY. */
KMS_MUST_USE kms_err kms_policy_say(struct kms_call *call, const char *json);

#endif
