/*
 * Questions to a policy as users put them: one from the command line, or many in a file of cases. A case is a
 * JSON object: name, principal, action, context (object), inputs (object: condition key to value or list of
 * values), expect ("allow", "deny"). What is decided about it is an object, too, the same from the server and
 * from here: decision ("ALLOW", "EXPLICIT_DENY", "IMPLICIT_DENY"), statement, near_misses.
 */
#ifndef KMS_CLIENT_KMSCTL_POLICY_CASE_H
#define KMS_CLIENT_KMSCTL_POLICY_CASE_H

#include <jansson.h>

#include "client/kmsctl/ctl.h"
#include "kmsd/policy/policy.h"

/* --principal, --action and the others; false: ctl->error. A new reference. */
bool ctl_case_of_options(struct ctl *ctl, json_t **ret_case);
/* A list of cases: an array, or an object whose member "cases" is one; 1 to 10,000. INVALID_ARGUMENT (why:
 * which case, and what of it), IO. A new reference. */
KMS_MUST_USE kms_err ctl_cases_read(const char *path, json_t **ret_cases, struct kms_why *why);

/* Decides one case under a document, as the server would for no key, secret or role in particular.
 * INVALID_ARGUMENT: why. A new reference. */
KMS_MUST_USE kms_err ctl_case_decide(const kms_policy *policy, json_t *one, json_t **ret_decision,
                                     struct kms_why *why);
/* Asks the server about all of them: key, or policy, may be NULL. False: ctl->error. An array, a new
 * reference. */
bool ctl_cases_ask(struct ctl *ctl, const char *key, const char *policy, json_t *cases,
                   json_t **ret_decisions);

/* "allow" for ALLOW, "deny" for both denials. */
const char *ctl_case_verdict(const json_t *decision);

#endif
