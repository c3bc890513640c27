/* How grants go without anybody asking. */
#ifndef KMS_SERVICE_END_GRANT_H
#define KMS_SERVICE_END_GRANT_H

#include "kmsd/service/change.h"

/* Act of an internal call about one key for which kms_grants_due says yes: erases grants that have
 * expired, some at once; none left is fine. They decide nothing since they expired: this is tidiness. */
KMS_MUST_USE kms_err kms_expire_grants(struct kms_call *call);
/* For the deletion of a key: all its grants go with it. The key's own row must be a step too: it keeps new
 * ones out. */
KMS_MUST_USE kms_err kms_change_remove_grants(struct kms_change_set *set, const struct kms_key *key);

#endif
