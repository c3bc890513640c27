/* What the service does to secrets by itself (internal.h): deleting, and rotating step by step. */
#ifndef KMS_SERVICE_SECRET_ACTS_H
#define KMS_SERVICE_SECRET_ACTS_H

#include "kmsd/service/core.h"

/* Its recovery window has passed. */
bool kms_secret_deletion_due(const struct kms_secret_entry *entry, uint64_t now_us);
KMS_MUST_USE kms_err kms_delete_secret_scheduled(struct kms_call *call);

/* A window of its schedule may have opened, or a step of a rotation under way is to be done. doubted: of a
 * time that is not believed only what is under way is due. backoff_us: core->rotation_backoff_us. */
bool kms_secret_rotation_due(const struct kms_secret_entry *entry, uint64_t backoff_us, uint64_t now_us,
                             bool doubted);
/* Its last step failed, and nothing has succeeded since: it is tried again, or was given up and nobody has
 * been there to end automatic rotation and take AWSPENDING away. */
bool kms_secret_rotation_fails(const struct kms_secret_entry *entry);
/* Begins the rotation whose window has opened, or does one step. The error is that of the step: it is
 * stored with the secret, and the step is tried again later, or the rotation given up. */
KMS_MUST_USE kms_err kms_rotate_secret_step_gather(struct kms_call *call);
KMS_MUST_USE kms_err kms_rotate_secret_step(struct kms_call *call);

#endif
