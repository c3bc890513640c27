/*
 * kms_jobs: what the service does by itself when its day has come: rotate, delete. One thread looks every
 * interval; what is due is found in the keyring, so that a restart forgets nothing and a run that was missed
 * is made up for. Each act is an internal call (kmsd/service/internal.h) with its own two audit records. One
 * process has the keystore, so one process runs them.
 */
#ifndef KMS_JOBS_JOBS_H
#define KMS_JOBS_JOBS_H

#include "kmsd/service/internal.h"

struct kms_jobs_options {
    uint32_t interval_ms;
    uint32_t clock_tolerance_ms;  /* a jump of the wall clock beyond this is a step */
    uint32_t clock_hold_ms;       /* after a step forward nothing is deleted or rotated for so long */
    uint32_t usage_checkpoint_ms; /* how often the usage ledger is stored, when there was use */
    /* Clocks, for tests; NULL: the machine's (base/clock.h). */
    uint64_t (*wall_us)(void);
    uint64_t (*monotonic_us)(void);
};

typedef struct kms_jobs kms_jobs;

/* pipeline and core outlive it. */
KMS_MUST_USE kms_err kms_jobs_new(const struct kms_jobs_options *options, kms_pipeline *pipeline,
                                  struct kms_core *core, kms_jobs **ret_jobs);
void kms_jobs_look(kms_jobs *jobs); /* one look, on the caller's thread; not once it is started */
KMS_MUST_USE kms_err kms_jobs_start(kms_jobs *jobs);
void kms_jobs_free(kms_jobs *jobs); /* waits for the act under way; NULL is a no-op */

/* At a clean stop, when no call can come any more and the jobs' thread has ended: stores the usage ledger,
 * so that the next start need not count the end of the log again. What is left when until_us (monotonic)
 * has passed, looked at after each act, is counted again then. */
void kms_jobs_store_usage(kms_pipeline *pipeline, struct kms_core *core, uint64_t until_us);

/* due.c: what is due at a moment, at most cap of it; the rest is due still at the next look. */
struct kms_due {
    enum kms_internal what;
    struct kms_id key_id; /* KMS_INTERNAL_CLOSE_APPROVAL: of the approval */
};
size_t kms_due_find(kms_keyring *keys, uint64_t now_us, bool doubted, struct kms_due *due, size_t cap);
/* The same of approvals, which stand in the keystore alone. */
KMS_MUST_USE kms_err kms_due_approvals(struct kms_core *core, struct kms_due *due, size_t cap,
                                       size_t *ret_count, struct kms_why *why);

#endif
