/* The scheduler's thread. */
#include "kmsd/jobs/jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/jobs/step.h"
#include "kmsd/service/retention.h"

enum { DUE_AT_ONCE = 256 };

struct kms_jobs {
    struct kms_jobs_options options;
    kms_pipeline *pipeline;
    struct kms_core *core;
    struct kms_step step;
    uint64_t checkpoint_due_us; /* monotonic */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct kms_due due[DUE_AT_ONCE];
};

static const char *const names[KMS_INTERNAL_COUNT] = {
    [KMS_INTERNAL_ROTATE_SCHEDULED] = "rotate",
    [KMS_INTERNAL_ROTATE_FOR_BUDGET] = "rotate-for-budget",
    [KMS_INTERNAL_DELETE_KEY] = "delete",
    [KMS_INTERNAL_EXPIRE_GRANTS] = "expire-grants",
    [KMS_INTERNAL_CHECKPOINT_USAGE] = "checkpoint-usage",
    [KMS_INTERNAL_CLOSE_APPROVAL] = "close-approval",
    [KMS_INTERNAL_DROP_AUDIT] = "drop-audit-files",
};

static bool stopping(kms_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    bool is = jobs->stopping;
    pthread_mutex_unlock(&jobs->lock);
    return is;
}

static void run(kms_jobs *jobs, const struct kms_due *due)
{
    struct kms_why why = {{0}};
    char id[KMS_ID_TEXT];
    const char *what = due->what == KMS_INTERNAL_CLOSE_APPROVAL ? "approval" : "key";
    kms_id_text(&due->key_id, id);
    kms_err err = kms_internal_run(jobs->pipeline, jobs->core, due->what, &due->key_id, &why);
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=%s %s=%s err=%s tried again at the next look: %s",
                names[due->what], what, id, kms_err_reason(err), why.text);
    else
        kms_log(KMS_LOG_INFO, "jobs", "job=%s %s=%s", names[due->what], what, id);
}

/* Directly behind a checkpoint: what the ledger has stored is what retention may drop. */
static void drop_audit_files(kms_jobs *jobs)
{
    struct kms_audit_drop drop;
    struct kms_why why = {{0}};
    kms_err err = kms_retention_plan(jobs->core, &drop, &why);
    if (!kms_failed(err) && drop.files == 0) return;
    if (!kms_failed(err))
        err = kms_internal_run(jobs->pipeline, jobs->core, KMS_INTERNAL_DROP_AUDIT, NULL, &why);
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=%s err=%s tried again later: %s", names[KMS_INTERNAL_DROP_AUDIT],
                kms_err_reason(err), why.text);
    else
        kms_log(KMS_LOG_INFO, "jobs", "job=%s files=%u last_sequence=%llu", names[KMS_INTERNAL_DROP_AUDIT],
                drop.files, (unsigned long long)drop.last_sequence);
}

/* As much as one act takes. False: there is no more, or it failed. */
static bool store_usage(kms_pipeline *pipeline, struct kms_core *core)
{
    if (!kms_ledger_dirty(core->ledger)) return false;
    struct kms_why why = {{0}};
    kms_err err = kms_internal_run(pipeline, core, KMS_INTERNAL_CHECKPOINT_USAGE, NULL, &why);
    if (!kms_failed(err)) return true;
    kms_log(KMS_LOG_WARN, "jobs", "job=%s err=%s uses stay in memory and in the audit log: %s",
            names[KMS_INTERNAL_CHECKPOINT_USAGE], kms_err_reason(err), why.text);
    return false;
}

void kms_jobs_store_usage(kms_pipeline *pipeline, struct kms_core *core, uint64_t until_us)
{
    while (store_usage(pipeline, core) && kms_monotonic_us() < until_us) {
    }
}

static void checkpoint(kms_jobs *jobs, uint64_t monotonic_us)
{
    if (monotonic_us < jobs->checkpoint_due_us) return;
    jobs->checkpoint_due_us = monotonic_us + jobs->options.usage_checkpoint_ms * UINT64_C(1000);
    while (!stopping(jobs) && store_usage(jobs->pipeline, jobs->core)) {
    }
    if (!stopping(jobs)) drop_audit_files(jobs);
}

static void look_at_clock(kms_jobs *jobs, uint64_t wall_us, uint64_t monotonic_us)
{
    int64_t moved_us = kms_step_look(&jobs->step, wall_us, monotonic_us);
    if (moved_us > 0)
        kms_log(KMS_LOG_WARN, "clock", "moved_forward_s=%lld nothing is deleted or rotated for %u s",
                (long long)(moved_us / 1000000), jobs->options.clock_hold_ms / 1000);
    if (moved_us < 0)
        kms_log(KMS_LOG_WARN, "clock", "moved_back_s=%lld nothing is deleted or rotated earlier for it",
                (long long)(-moved_us / 1000000));
    if (!kms_step_doubted(&jobs->step, monotonic_us)) kms_core_seen_us(jobs->core, wall_us);
}

static void run_all(kms_jobs *jobs, size_t count)
{
    for (size_t i = 0; i < count && !stopping(jobs); i++) run(jobs, &jobs->due[i]);
}

/* What is over is over for callers at once; here it only comes on record. So that waits, too, while the time
 * is doubted: an approval could be brought back by putting the clock right. */
static void look_at_approvals(kms_jobs *jobs)
{
    size_t count = 0;
    struct kms_why why = {{0}};
    kms_err err = kms_due_approvals(jobs->core, jobs->due, DUE_AT_ONCE, &count, &why);
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=close-approval err=%s %s", kms_err_reason(err), why.text);
    run_all(jobs, count);
}

void kms_jobs_look(kms_jobs *jobs)
{
    uint64_t wall_us = jobs->options.wall_us(), monotonic_us = jobs->options.monotonic_us();
    look_at_clock(jobs, wall_us, monotonic_us);
    bool doubted = kms_step_doubted(&jobs->step, monotonic_us);
    atomic_store(&jobs->core->clock_doubted, doubted);
    size_t count = kms_due_find(jobs->core->keys, wall_us, doubted, jobs->due, DUE_AT_ONCE);
    run_all(jobs, count);
    if (!doubted) look_at_approvals(jobs);
    checkpoint(jobs, monotonic_us);
}

/* False: it is time to stop. */
static bool wait_a_while(kms_jobs *jobs)
{
    const struct timespec until = kms_in_ms(jobs->options.interval_ms);
    pthread_mutex_lock(&jobs->lock);
    int rc = 0;
    while (!jobs->stopping && rc == 0) rc = pthread_cond_timedwait(&jobs->wake, &jobs->lock, &until);
    bool go_on = !jobs->stopping;
    pthread_mutex_unlock(&jobs->lock);
    return go_on;
}

static void *jobs_main(void *self)
{
    kms_jobs *jobs = self;
    prctl(PR_SET_NAME, "jobs");
    do kms_jobs_look(jobs);
    while (wait_a_while(jobs));
    return NULL;
}

kms_err kms_jobs_new(const struct kms_jobs_options *options, kms_pipeline *pipeline, struct kms_core *core,
                     kms_jobs **ret_jobs)
{
    kms_jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->options = *options;
    if (options->wall_us == NULL) jobs->options.wall_us = kms_now_us;
    if (options->monotonic_us == NULL) jobs->options.monotonic_us = kms_monotonic_us;
    jobs->step.tolerance_us = options->clock_tolerance_ms * UINT64_C(1000);
    jobs->step.hold_us = options->clock_hold_ms * UINT64_C(1000);
    jobs->pipeline = pipeline;
    jobs->core = core;
    kms_cond_init(&jobs->wake);
    pthread_mutex_init(&jobs->lock, NULL);
    *ret_jobs = jobs;
    return KMS_OK;
}

kms_err kms_jobs_start(kms_jobs *jobs)
{
    jobs->started = pthread_create(&jobs->thread, NULL, jobs_main, jobs) == 0;
    return jobs->started ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

void kms_jobs_free(kms_jobs *jobs)
{
    if (jobs == NULL) return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    if (jobs->started) pthread_join(jobs->thread, NULL);
    pthread_cond_destroy(&jobs->wake);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}
