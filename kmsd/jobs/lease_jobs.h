/*
 * What is due for leases: those whose time is over are ending, those that are ending are ended in their
 * databases, and from time to time databases and leases are compared. A few threads, each with one role at
 * a time and so long (leases.turn), which takes many leases in one connection. A database that is away
 * keeps back the leases in it only.
 */
#ifndef KMS_JOBS_LEASE_JOBS_H
#define KMS_JOBS_LEASE_JOBS_H

#include "kmsd/service/core.h"
#include "kmsd/service/pipeline.h"

typedef struct kms_lease_jobs kms_lease_jobs;

/* Looks every interval_ms, and when kms_core_wake_leases says so. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                                          struct kms_core *core, kms_lease_jobs **ret_jobs);
/* The acts under way end with the lease that they are at, without waiting for its database; the rest is due
 * at the next start. NULL is a no-op. */
void kms_lease_jobs_stop(kms_lease_jobs *jobs);

#endif
