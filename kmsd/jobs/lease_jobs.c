/* The threads of leases. */
#include "kmsd/jobs/lease_jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/service/internal.h"

enum { ERROR_WAIT_MS = 1000 };

struct worker {
    kms_lease_jobs *jobs;
    pthread_t thread;
    char role[KMS_SECRET_NAME_BYTES]; /* in its hand; "": none. Under the lock */
};

struct kms_lease_jobs {
    kms_pipeline *pipeline;
    struct kms_core *core;
    uint32_t interval_ms;
    atomic_bool stopping;
    pthread_mutex_t lock;
    unsigned threads, started;
    struct worker workers[];
};

static const struct {
    enum kms_internal what;
    const char *job;
} acts[] = {
    [KMS_LEASE_DUE_EXPIRE] = {KMS_INTERNAL_EXPIRE_LEASES, "expire-leases"},
    [KMS_LEASE_DUE_REVOKE] = {KMS_INTERNAL_REVOKE_LEASES, "end-leases"},
    [KMS_LEASE_DUE_SWEEP] = {KMS_INTERNAL_SWEEP_LEASES, "sweep-leases"},
};

/* With the lock held. */
static bool is_free(const void *user, const char *role)
{
    const kms_lease_jobs *jobs = user;
    for (unsigned i = 0; i < jobs->threads; i++)
        if (strcmp(jobs->workers[i].role, role) == 0) return false;
    return true;
}

static enum kms_lease_due claim(kms_lease_jobs *jobs, struct worker *worker)
{
    const struct kms_lease_look look = {.now_us = kms_core_now_us(jobs->core),
                                        .monotonic_us = kms_monotonic_us(),
                                        .doubted = atomic_load(&jobs->core->clock_doubted),
                                        .free = is_free,
                                        .user = jobs};
    pthread_mutex_lock(&jobs->lock);
    enum kms_lease_due due = kms_lease_book_due(jobs->core->leases, &look, worker->role);
    pthread_mutex_unlock(&jobs->lock);
    return due;
}

static void release(kms_lease_jobs *jobs, struct worker *worker)
{
    pthread_mutex_lock(&jobs->lock);
    worker->role[0] = '\0';
    pthread_mutex_unlock(&jobs->lock);
}

/* A statement failed: of one lease, which waits by itself. */
static bool of_one_lease(kms_err err)
{
    return kms_is(err, KMS_E_DATABASE_FAILED) || kms_is(err, KMS_E_INVALID_ARGUMENT);
}

/* What concerns the role as a whole keeps it back. */
static kms_err run(kms_lease_jobs *jobs, const struct worker *worker, enum kms_lease_due due)
{
    struct kms_why why = {{0}};
    kms_lease_book *leases = jobs->core->leases;
    kms_err err = kms_internal_run_role(jobs->pipeline, jobs->core, acts[due].what, worker->role, NULL, &why);
    uint64_t now_us = kms_monotonic_us();
    if (due == KMS_LEASE_DUE_SWEEP)
        kms_lease_book_swept(leases, worker->role, now_us + jobs->core->sweep_interval_us);
    if (kms_failed(err)) {
        if (!of_one_lease(err))
            kms_lease_book_delay_role(leases, worker->role, now_us, jobs->core->lease_backoff_us);
        kms_log(KMS_LOG_WARN, "jobs", "job=%s role=%s err=%s tried again later: %s", acts[due].job,
                worker->role, kms_err_reason(err), why.text);
        return err;
    }
    if (due != KMS_LEASE_DUE_EXPIRE) kms_lease_book_ease_role(leases, worker->role);
    kms_log(KMS_LOG_INFO, "jobs", "job=%s role=%s", acts[due].job, worker->role);
    return KMS_OK;
}

static void wait_a_while(kms_lease_jobs *jobs, uint32_t most_ms)
{
    const struct timespec until = kms_in_ms(most_ms < jobs->interval_ms ? most_ms : jobs->interval_ms);
    while (sem_clockwait(&jobs->core->leases_wake, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) continue;
}

static void *worker_main(void *self)
{
    struct worker *worker = self;
    kms_lease_jobs *jobs = worker->jobs;
    prctl(PR_SET_NAME, "leases");
    while (!atomic_load(&jobs->stopping)) {
        enum kms_lease_due due = claim(jobs, worker);
        if (due == KMS_LEASE_DUE_NOTHING) {
            wait_a_while(jobs, UINT32_MAX);
            continue;
        }
        kms_err err = run(jobs, worker, due);
        release(jobs, worker);
        if (kms_failed(err) && !atomic_load(&jobs->stopping)) wait_a_while(jobs, ERROR_WAIT_MS);
    }
    return NULL;
}

kms_err kms_lease_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                             struct kms_core *core, kms_lease_jobs **ret_jobs)
{
    kms_lease_jobs *jobs = calloc(1, sizeof *jobs + threads * sizeof jobs->workers[0]);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->pipeline = pipeline;
    jobs->core = core;
    jobs->interval_ms = interval_ms;
    jobs->threads = threads;
    pthread_mutex_init(&jobs->lock, NULL);
    for (unsigned i = 0; i < threads; i++) {
        jobs->workers[i].jobs = jobs;
        if (pthread_create(&jobs->workers[i].thread, NULL, worker_main, &jobs->workers[i]) != 0) {
            kms_lease_jobs_stop(jobs);
            return KMS_FAIL(NO_MEMORY);
        }
        jobs->started++;
    }
    *ret_jobs = jobs;
    return KMS_OK;
}

void kms_lease_jobs_stop(kms_lease_jobs *jobs)
{
    if (jobs == NULL) return;
    atomic_store(&jobs->stopping, true);
    for (unsigned i = 0; i < jobs->started; i++) kms_core_wake_leases(jobs->core);
    for (unsigned i = 0; i < jobs->started; i++) pthread_join(jobs->workers[i].thread, NULL);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}
