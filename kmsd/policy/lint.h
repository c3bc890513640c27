/*
 * A document explained in words, and what in it is wider, or does less, than its writer may have meant.
 * Warnings are opinions; errors are what the call that writes it (PutKeyPolicy, PutResourcePolicy)
 * would refuse. Thread-safe: a function of the
 * document.
 */
#ifndef KMS_POLICY_LINT_H
#define KMS_POLICY_LINT_H

#include <jansson.h>

#include "kmsd/policy/policy.h"

/*
 * An object: statements, a list of {statement, words}; findings, a list of {level ("error", "warning"),
 * statement (Sid or "#N"; "" for the whole document), code, words}; errors and warnings, how many. The
 * caller owns the reference. MALFORMED_POLICY (why: the place), NO_MEMORY.
 */
KMS_MUST_USE kms_err kms_policy_lint(enum kms_policy_kind kind, struct kms_bytes document,
                                     json_t **ret_report, struct kms_why *why);

#endif
