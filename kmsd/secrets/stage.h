/*
 * Movements of stages (AWS Secrets Manager user guide, "Secret versions"): a stage is on one version at
 * most, and AWSPREVIOUS follows AWSCURRENT. Values only: they change what the caller has copied.
 */
#ifndef KMS_SECRETS_STAGE_H
#define KMS_SECRETS_STAGE_H

#include "kmsd/secrets/entry.h"

/* 1 to 256 bytes. INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_stage_check(const char *stage, struct kms_why *why);

/* Puts a stage on a version and takes it from the one that has it. AWSCURRENT: the version that loses it gets
 * AWSPREVIOUS, whoever had that. NO_MEMORY, LIMIT_EXCEEDED (KMS_SECRET_STAGES). */
KMS_MUST_USE kms_err kms_stage_move(kms_stored_secret *secret, const char *stage, size_t to,
                                    struct kms_why *why);
/* Takes a stage from a version; not there: a no-op. */
void kms_stage_take(kms_stored_secret_version *version, const char *stage);

/* The oldest version without a stage that may go when there are more than `keep` versions; SIZE_MAX: none.
 * One that is younger than a day stays (AWS does the same), unless `keep` is exceeded twice. */
size_t kms_stage_deprecated(const kms_stored_secret *secret, size_t keep, uint64_t now_us);

#endif
