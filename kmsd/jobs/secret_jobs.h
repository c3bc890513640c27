/*
 * What is due for stored secrets: deletion when the recovery window has passed, and rotations, step by
 * step. A few threads, since a rotator may wait for a database or a program; one secret is in one hand at a
 * time. What is due is found in the book by date, so a restart forgets nothing.
 */
#ifndef KMS_JOBS_SECRET_JOBS_H
#define KMS_JOBS_SECRET_JOBS_H

#include "kmsd/service/core.h"
#include "kmsd/service/pipeline.h"

typedef struct kms_secret_jobs kms_secret_jobs;

/* Looks every interval_ms, and when kms_core_wake_secrets says so. NO_MEMORY. */
KMS_MUST_USE kms_err kms_secret_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                                           struct kms_core *core, kms_secret_jobs **ret_jobs);
/* Waits for the steps under way, which end in the time that their rotators have. NULL is a no-op. */
void kms_secret_jobs_stop(kms_secret_jobs *jobs);

#endif
