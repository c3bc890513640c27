/* What the service does to secrets by itself (internal.h). */
#ifndef KMS_SERVICE_SECRET_ACTS_H
#define KMS_SERVICE_SECRET_ACTS_H

#include "kmsd/service/core.h"

/* Its recovery window has passed. */
bool kms_secret_deletion_due(const struct kms_secret_entry *entry, uint64_t now_us);
KMS_MUST_USE kms_err kms_delete_secret_scheduled(struct kms_call *call);

#endif
