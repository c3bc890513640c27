/* The threads of secrets. */
#include "kmsd/jobs/secret_jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/service/internal.h"
#include "kmsd/service/secret_acts.h"

enum { ERROR_WAIT_MS = 1000 };

struct worker {
    kms_secret_jobs *jobs;
    pthread_t thread;
    char name[KMS_SECRET_NAME_BYTES]; /* of the secret in its hand; "": none. Under the lock */
};

struct kms_secret_jobs {
    kms_pipeline *pipeline;
    struct kms_core *core;
    uint32_t interval_ms;
    atomic_bool stopping;
    pthread_mutex_t lock;
    unsigned threads, started;
    struct worker workers[];
};

struct look {
    const kms_secret_jobs *jobs;
    uint64_t now_us;
    bool doubted;
};

static bool in_hand(const kms_secret_jobs *jobs, const char *name)
{
    for (unsigned i = 0; i < jobs->threads; i++)
        if (strcmp(jobs->workers[i].name, name) == 0) return true;
    return false;
}

/* With the lock held. */
static bool due(const void *user, const struct kms_secret_entry *entry)
{
    const struct look *look = user;
    bool goes = !look->doubted && kms_secret_deletion_due(entry, look->now_us);
    if (!goes && !kms_secret_rotation_due(entry, look->now_us, look->doubted)) return false;
    return !in_hand(look->jobs, entry->stored->name);
}

/* Takes one secret that has something due; false: none has. */
static bool claim(kms_secret_jobs *jobs, struct worker *worker, enum kms_internal *ret_what)
{
    const struct look look = {jobs, kms_core_now_us(jobs->core), atomic_load(&jobs->core->clock_doubted)};
    KMS_OWN_SECRET_LIST list = {.count = 0};
    pthread_mutex_lock(&jobs->lock);
    kms_err err = kms_secret_book_list(jobs->core->secrets, "", 1, due, &look, &list);
    bool found = !kms_failed(err) && list.count > 0;
    if (found) {
        const kms_stored_secret *stored = list.entries[0]->stored;
        kms_copy(worker->name, stored->name, strlen(stored->name) + 1);
        *ret_what = stored->deletion_us != 0 ? KMS_INTERNAL_DELETE_SECRET : KMS_INTERNAL_ROTATE_SECRET;
    }
    pthread_mutex_unlock(&jobs->lock);
    return found;
}

static void release(kms_secret_jobs *jobs, struct worker *worker)
{
    pthread_mutex_lock(&jobs->lock);
    worker->name[0] = '\0';
    pthread_mutex_unlock(&jobs->lock);
}

static kms_err run(kms_secret_jobs *jobs, const struct worker *worker, enum kms_internal what)
{
    struct kms_why why = {{0}};
    kms_err err = kms_internal_run_secret(jobs->pipeline, jobs->core, what, worker->name, &why);
    const char *job = what == KMS_INTERNAL_DELETE_SECRET ? "delete-secret" : "rotate-secret";
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=%s secret=%s err=%s tried again later: %s", job, worker->name,
                kms_err_reason(err), why.text);
    else
        kms_log(KMS_LOG_INFO, "jobs", "job=%s secret=%s", job, worker->name);
    return err;
}

static void wait_a_while(kms_secret_jobs *jobs, uint32_t most_ms)
{
    const struct timespec until = kms_in_ms(most_ms < jobs->interval_ms ? most_ms : jobs->interval_ms);
    while (sem_clockwait(&jobs->core->secrets_wake, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) continue;
}

static void *worker_main(void *self)
{
    struct worker *worker = self;
    kms_secret_jobs *jobs = worker->jobs;
    prctl(PR_SET_NAME, "secrets");
    while (!atomic_load(&jobs->stopping)) {
        enum kms_internal what;
        if (!claim(jobs, worker, &what)) {
            wait_a_while(jobs, UINT32_MAX);
            continue;
        }
        kms_err err = run(jobs, worker, what);
        /* Still in its hand: nobody takes it up at once, and what is due for others does not wait. */
        if (kms_failed(err) && !atomic_load(&jobs->stopping)) wait_a_while(jobs, ERROR_WAIT_MS);
        release(jobs, worker);
    }
    return NULL;
}

kms_err kms_secret_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                              struct kms_core *core, kms_secret_jobs **ret_jobs)
{
    kms_secret_jobs *jobs = calloc(1, sizeof *jobs + threads * sizeof jobs->workers[0]);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->pipeline = pipeline;
    jobs->core = core;
    jobs->interval_ms = interval_ms;
    jobs->threads = threads;
    pthread_mutex_init(&jobs->lock, NULL);
    for (unsigned i = 0; i < threads; i++) {
        jobs->workers[i].jobs = jobs;
        if (pthread_create(&jobs->workers[i].thread, NULL, worker_main, &jobs->workers[i]) != 0) {
            kms_secret_jobs_stop(jobs);
            return KMS_FAIL(NO_MEMORY);
        }
        jobs->started++;
    }
    *ret_jobs = jobs;
    return KMS_OK;
}

void kms_secret_jobs_stop(kms_secret_jobs *jobs)
{
    if (jobs == NULL) return;
    atomic_store(&jobs->stopping, true);
    for (unsigned i = 0; i < jobs->started; i++) kms_core_wake_secrets(jobs->core);
    for (unsigned i = 0; i < jobs->started; i++) pthread_join(jobs->workers[i].thread, NULL);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}
