/* What is due for leases. */
#include "kmsd/jobs/lease_jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/jobs/crew.h"
#include "kmsd/service/internal.h"

_Static_assert((int)KMS_CREW_NAME_BYTES >= (int)KMS_SECRET_NAME_BYTES, "a role has a name like a secret's");

struct kms_lease_jobs {
    kms_pipeline *pipeline;
    struct kms_core *core;
    kms_crew *crew;
};

static const struct {
    enum kms_internal what;
    const char *job;
} acts[] = {
    [KMS_LEASE_DUE_EXPIRE] = {KMS_INTERNAL_EXPIRE_LEASES, "expire-leases"},
    [KMS_LEASE_DUE_REVOKE] = {KMS_INTERNAL_REVOKE_LEASES, "end-leases"},
    [KMS_LEASE_DUE_SWEEP] = {KMS_INTERNAL_SWEEP_LEASES, "sweep-leases"},
};

static bool is_free(const void *crew, const char *role)
{
    return !kms_crew_has(crew, role);
}

static bool claim(void *user, const kms_crew *crew, char role[KMS_CREW_NAME_BYTES], int *ret_due)
{
    const kms_lease_jobs *jobs = user;
    const struct kms_lease_look look = {.now_us = kms_core_now_us(jobs->core),
                                        .monotonic_us = kms_monotonic_us(),
                                        .doubted = atomic_load(&jobs->core->clock_doubted),
                                        .free = is_free,
                                        .user = crew};
    enum kms_lease_due due = kms_lease_book_due(jobs->core->leases, &look, role);
    *ret_due = (int)due;
    return due != KMS_LEASE_DUE_NOTHING;
}

/* Leases and databases that failed wait by themselves; what else may fail is tried again as any job is. */
static bool run(void *user, const char *role, int due)
{
    const kms_lease_jobs *jobs = user;
    struct kms_why why = {{0}};
    kms_err err = kms_internal_run_role(jobs->pipeline, jobs->core, acts[due].what, role, NULL, &why);
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=%s role=%s err=%s tried again later: %s", acts[due].job, role,
                kms_err_reason(err), why.text);
    else
        kms_log(KMS_LOG_INFO, "jobs", "job=%s role=%s", acts[due].job, role);
    return !kms_failed(err);
}

kms_err kms_lease_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                             struct kms_core *core, kms_lease_jobs **ret_jobs)
{
    kms_lease_jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->pipeline = pipeline;
    jobs->core = core;
    const struct kms_crew_work work = {"leases", &core->leases_wake, claim, run, jobs};
    kms_err err = kms_crew_start(&work, threads, interval_ms, &jobs->crew);
    if (kms_failed(err))
        free(jobs);
    else
        *ret_jobs = jobs;
    return err;
}

void kms_lease_jobs_stop(kms_lease_jobs *jobs)
{
    if (jobs == NULL) return;
    atomic_store(&jobs->core->lease_jobs_until_us, kms_monotonic_us());
    kms_crew_stop(jobs->crew);
    free(jobs);
}
