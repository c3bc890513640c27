/* What is due for secrets. */
#include "kmsd/jobs/secret_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kmsd/jobs/crew.h"
#include "kmsd/service/internal.h"
#include "kmsd/service/secret_acts.h"

_Static_assert((int)KMS_CREW_NAME_BYTES >= (int)KMS_SECRET_NAME_BYTES, "a secret's name fits");

struct kms_secret_jobs {
    kms_pipeline *pipeline;
    struct kms_core *core;
    kms_crew *crew;
};

struct look {
    const kms_crew *crew;
    uint64_t backoff_us, now_us;
    bool doubted;
};

static bool due(const void *user, const struct kms_secret_entry *entry)
{
    const struct look *look = user;
    bool goes = !look->doubted && kms_secret_deletion_due(entry, look->now_us);
    if (!goes && !kms_secret_rotation_due(entry, look->backoff_us, look->now_us, look->doubted)) return false;
    return !kms_crew_has(look->crew, entry->stored->name);
}

/* Takes one secret that has something due; false: none has. */
static bool claim(void *user, const kms_crew *crew, char name[KMS_CREW_NAME_BYTES], int *ret_what)
{
    const kms_secret_jobs *jobs = user;
    const struct look look = {crew, jobs->core->rotation_backoff_us, kms_core_now_us(jobs->core),
                              atomic_load(&jobs->core->clock_doubted)};
    KMS_OWN_SECRET_LIST list = {.count = 0};
    kms_err err = kms_secret_book_list(jobs->core->secrets, "", 1, due, &look, &list);
    if (kms_failed(err) || list.count == 0) return false;
    const kms_stored_secret *stored = list.entries[0]->stored;
    kms_copy(name, stored->name, strlen(stored->name) + 1);
    *ret_what = stored->deletion_us != 0 ? KMS_INTERNAL_DELETE_SECRET : KMS_INTERNAL_ROTATE_SECRET;
    return true;
}

static bool run(void *user, const char *name, int what)
{
    const kms_secret_jobs *jobs = user;
    struct kms_why why = {{0}};
    kms_err err = kms_internal_run_secret(jobs->pipeline, jobs->core, (enum kms_internal)what, name, &why);
    const char *job = what == KMS_INTERNAL_DELETE_SECRET ? "delete-secret" : "rotate-secret";
    if (kms_failed(err))
        kms_log(KMS_LOG_WARN, "jobs", "job=%s secret=%s err=%s tried again later: %s", job, name,
                kms_err_reason(err), why.text);
    else
        kms_log(KMS_LOG_INFO, "jobs", "job=%s secret=%s", job, name);
    return !kms_failed(err);
}

kms_err kms_secret_jobs_start(unsigned threads, uint32_t interval_ms, kms_pipeline *pipeline,
                              struct kms_core *core, kms_secret_jobs **ret_jobs)
{
    kms_secret_jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->pipeline = pipeline;
    jobs->core = core;
    const struct kms_crew_work work = {"secrets", &core->secrets_wake, claim, run, jobs};
    kms_err err = kms_crew_start(&work, threads, interval_ms, &jobs->crew);
    if (kms_failed(err))
        free(jobs);
    else
        *ret_jobs = jobs;
    return err;
}

void kms_secret_jobs_stop(kms_secret_jobs *jobs)
{
    if (jobs == NULL) return;
    kms_crew_stop(jobs->crew);
    free(jobs);
}
