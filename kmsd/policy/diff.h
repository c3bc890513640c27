/*
 * What becomes different for whom when one document takes the place of another. Conservative: what
 * depends on conditions is shown with them, and counts as changed when they are written differently.
 * Thread-safe: a function of both documents.
 */
#ifndef KMS_POLICY_DIFF_H
#define KMS_POLICY_DIFF_H

#include <jansson.h>

#include "kmsd/policy/policy.h"

/*
 * Both documents are of that kind. An object: access, a list of {principal ("everybody else" for whom neither
 * document names), change ("gains", "loses", "changes"), actions (list), before, after: "no", "yes", or the
 * conditions in words}; statements, a list of {statement, change ("added", "removed", "changed"), before,
 * after: in words or ""}. Both lists are empty when nothing changes. The caller owns the reference.
 * MALFORMED_POLICY (why: which of the two, and the place), NO_MEMORY.
 */
KMS_MUST_USE kms_err kms_policy_diff(enum kms_policy_kind kind, struct kms_bytes before,
                                     struct kms_bytes after, json_t **ret_report, struct kms_why *why);

#endif
