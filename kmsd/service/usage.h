/* The usage ledger's ends: what is counted, from calls and from the log, and its checkpoints. The days on
 * which secrets were read (kmsd/secrets/read_day.h) go with it. */
#ifndef KMS_SERVICE_USAGE_H
#define KMS_SERVICE_USAGE_H

#include "kmsd/service/core.h"

/* The calls of a commit that succeeded; attempts and failures among them do not count. Finish thread. */
void kms_usage_count(const struct kms_core *core, struct kms_call *const *calls, size_t count);
/* At start: the ledger from the keystore, then what the log has since its checkpoint. CORRUPT, IO. */
KMS_MUST_USE kms_err kms_usage_start(struct kms_core *core, const char *audit_dir, struct kms_why *why);
/* Act of an internal call: what has changed goes to the keystore. */
KMS_MUST_USE kms_err kms_usage_checkpoint(struct kms_call *call);
/* When a version was used last, microseconds since 1970-01-01 UTC; 0: never. */
uint64_t kms_usage_last_us(const struct kms_core *core, const struct kms_key *key, uint32_t version);
/* That is less than keys.used_lately ago. */
bool kms_usage_lately(const struct kms_core *core, const struct kms_key *key, uint32_t version);

#endif
