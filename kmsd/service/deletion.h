/* The end of a key. */
#ifndef KMS_SERVICE_DELETION_H
#define KMS_SERVICE_DELETION_H

#include "kmsd/service/core.h"

bool kms_deletion_due(const struct kms_key *key, uint64_t now_us);
/* Act of an internal call: wrapped keys, grants and budgets erased from the keystore and its files, the
 * workers' caches emptied, aliases left as tombstones. CONFLICT: not due any more. */
KMS_MUST_USE kms_err kms_delete_key(struct kms_call *call);

#endif
