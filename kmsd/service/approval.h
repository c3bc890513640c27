/*
 * Approvals: the last station before a change reaches the keystore. When the approval rule of a key guards
 * the method (method.def: KMS_GUARDED), or an alias leaves the key, the change is made only with the
 * approvals that the rule requires, and uses them up in the same transaction; else the request is put down
 * as waiting, in place of the change. It stands behind everything that a method checks, so nobody is asked
 * to approve what would be refused, and in kms_change_apply, so no method can forget it.
 */
#ifndef KMS_SERVICE_APPROVAL_H
#define KMS_SERVICE_APPROVAL_H

#include "kmsd/keys/approval.h"
#include "kmsd/service/change.h"

/* OK: the change needs no approval, or has it; then a step that uses it up joins the set. APPROVAL_NEEDED:
 * the request waits now, or did before; call->approval and why say for whom. */
KMS_MUST_USE kms_err kms_approval_pass(struct kms_call *call, struct kms_change_set *set);

/* NOT_FOUND: no such approval. ret_approval must be empty. */
KMS_MUST_USE kms_err kms_approval_read(struct kms_call *call, const char *id,
                                       struct kms_approval *ret_approval);
/* What it is now, by the clock and by the keys as they are. */
enum kms_approval_state kms_approval_now(const struct kms_core *core, const kms_stored_approval *stored);
/* How many approvals of each key's principals are missing: the largest number of its keys. */
uint32_t kms_approval_missing_now(const struct kms_core *core, const kms_stored_approval *stored);
/* What the call's record and its error say of it. */
void kms_approval_note(struct kms_call *call, const struct kms_approval *approval, const char *event);

/* What the scheduler does, as the act of an internal call (internal.h) about call->approval.id: puts down
 * that its time is over or a key has changed; forgets it when it has been over for as long as it could live.
 * CONFLICT: nothing of that is due. */
bool kms_approval_due(const struct kms_core *core, const kms_stored_approval *stored);
KMS_MUST_USE kms_err kms_close_approval(struct kms_call *call);

/* At least `required` of the principals that rule names must be able to call ApproveRequest under the policy
 * on the key of this id. POLICY_LOCKOUT names those who are not. NULL rule: OK. */
KMS_MUST_USE kms_err kms_approval_reachable(struct kms_call *call, const struct kms_rule *rule,
                                            uint32_t required, const kms_policy *policy,
                                            const char *key_id_text);

#endif
