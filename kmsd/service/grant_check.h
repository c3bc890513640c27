/*
 * Separation where grants are concerned. Nobody who administers a key gets use of it by a grant, no grantee
 * becomes an administrator, and nobody writes himself into either.
 *
 * That is enough for separation over time without remembering who once administered a key: use comes from a
 * document or a grant only, each has one writer, and its writer is never among those it lets use the key,
 * whether he administers it then, did before, or has stopped to by that very document. A name that moves is
 * not among the ways: alias.c lets it move only to a key with the same users.
 */
#ifndef KMS_SERVICE_GRANT_CHECK_H
#define KMS_SERVICE_GRANT_CHECK_H

#include "kmsd/keys/key.h"
#include "kmsd/service/core.h"

/* May the caller make this grant of this key? POLICY_NOT_SEPARATED. */
KMS_MUST_USE kms_err kms_grant_check_separation(struct kms_call *call, const struct kms_key *key,
                                                const struct kms_grant *grant);
/* Does the document make nobody an administrator who has use of the key by a grant (also one that has expired
 * and is not erased yet)? POLICY_NOT_SEPARATED names the grant. */
KMS_MUST_USE kms_err kms_grants_check_policy(kms_grants *grants, const kms_policy *policy,
                                             struct kms_why *why);
/* Has everybody who has use of `to` by a grant the same use of `from`, by its policy or a grant? For
 * moving an alias. APPROVAL_NEEDED names the grant. */
KMS_MUST_USE kms_err kms_grants_check_move(const struct kms_key *from, const struct kms_key *to,
                                           uint64_t now_us, struct kms_why *why);

#endif
