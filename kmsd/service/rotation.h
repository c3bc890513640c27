/* Rotation, whoever asks for it: a caller, the schedule, the budget. */
#ifndef KMS_SERVICE_ROTATION_H
#define KMS_SERVICE_ROTATION_H

#include "kmsd/service/change.h"

/* UNSUPPORTED: such keys do not rotate. */
KMS_MUST_USE kms_err kms_rotation_check(struct kms_call *call, const struct kms_key *key);
/* A copy of the key of access[0] with one more version, made by the HSM; then its rows, with whatever else
 * the change set holds. */
KMS_MUST_USE kms_err kms_rotate_copy(struct kms_call *call, enum kms_version_cause cause,
                                     struct kms_key **ret_key);
KMS_MUST_USE kms_err kms_rotate_apply(struct kms_call *call, struct kms_change_set *changes,
                                      struct kms_key *key);

/* What the scheduler does, as acts of internal calls (internal.h). CONFLICT: not due any more. */
bool kms_rotation_due(const struct kms_key *key, uint64_t now_us);
KMS_MUST_USE kms_err kms_rotate_scheduled(struct kms_call *call);
/* The budget of its current version is low, and it can have another one. */
bool kms_rotation_due_for_budget(const struct kms_key *key);
KMS_MUST_USE kms_err kms_rotate_for_budget(struct kms_call *call);

#endif
