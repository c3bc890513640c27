/* A batch of values and the memory that their requests borrow. */
#include "client/kms-env/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/ciphertext.h"

struct item {
    char *name, *app;
    kms_buf blob;
};

struct kms_env_jobs {
    struct item *items;
    struct kms_env_job *jobs; /* jobs[i] borrows from items[i] */
    size_t count, most;
};

static void item_free(struct item *item)
{
    free(item->name);
    free(item->app);
    kms_buf_free(&item->blob);
}

kms_err kms_env_jobs_new(size_t most, kms_env_jobs **ret_jobs)
{
    KMS_OWN(kms_env_jobs) jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL) return KMS_FAIL(NO_MEMORY);
    jobs->most = most;
    jobs->items = calloc(most + 1, sizeof *jobs->items);
    jobs->jobs = calloc(most + 1, sizeof *jobs->jobs);
    if (jobs->items == NULL || jobs->jobs == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_jobs = KMS_GIVE(jobs);
    return KMS_OK;
}

void kms_env_jobs_free(kms_env_jobs *jobs)
{
    if (jobs == NULL) return;
    for (size_t i = 0; i < jobs->count; i++) {
        kms_secret_free(jobs->jobs[i].plaintext);
        item_free(&jobs->items[i]);
    }
    free(jobs->items);
    free(jobs->jobs);
    free(jobs);
}

void kms_env_jobs_drop(kms_env_jobs **jobs)
{
    kms_env_jobs_free(*jobs);
}

static kms_err fill(struct item *item, struct kms_bytes name, struct kms_bytes app, struct kms_bytes text,
                    struct kms_why *why)
{
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    item->name = kms_bytes_dup_text(name);
    item->app = kms_bytes_dup_text(app);
    if (item->name == NULL || item->app == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_ciphertext_from_text(text, &item->blob, why));
    return kms_ciphertext_parse(kms_buf_view(&item->blob), &header, &sealed, why);
}

kms_err kms_env_jobs_add(kms_env_jobs *jobs, struct kms_bytes name, struct kms_bytes app, const char *key,
                         struct kms_bytes text, struct kms_why *why)
{
    struct item item = {0};
    if (jobs->count == jobs->most) return KMS_FAIL(LIMIT_EXCEEDED);
    kms_err err = fill(&item, name, app, text, why);
    if (kms_failed(err)) {
        item_free(&item);
        return err;
    }
    jobs->items[jobs->count] = item;
    jobs->jobs[jobs->count++] = (struct kms_env_job){
        .name = item.name, .app = item.app, .key = key, .ciphertext = kms_buf_view(&item.blob)};
    return KMS_OK;
}

kms_err kms_env_jobs_run(kms_env_jobs *jobs, struct kms_env_decrypter decrypter, struct kms_why *why)
{
    return jobs->count == 0 ? KMS_OK : decrypter.decrypt(decrypter.self, jobs->jobs, jobs->count, why);
}

struct kms_env_job *kms_env_jobs_at(kms_env_jobs *jobs, size_t index)
{
    return &jobs->jobs[index];
}
