/* Has all that a plan needs from the service at once, and puts the strings of the child together in locked
 * memory. */
#include "client/kms-env/resolve.h"

#include <string.h>

#include "base/secret.h"
#include "client/kms-env/plan.h"

struct failures {
    kms_buf *notes;
    size_t count;
    kms_err first; /* when count > 0 */
};

/* The variable then stands for nothing: plan_environment leaves it out. */
static kms_err fail(struct failures *failures, struct kms_env_variable *v, kms_err err, const char *reason,
                    const char *words)
{
    if (failures->count++ == 0) failures->first = err;
    v->inherited = NULL;
    KMS_TRY(kms_buf_print(failures->notes, "%.*s", (int)v->name.len, (const char *)v->name.ptr));
    if (v->file != NULL) KMS_TRY(kms_buf_print(failures->notes, " (%s:%u)", v->file, v->line));
    return kms_buf_print(failures->notes, ": %s: %s\n", reason[0] != '\0' ? reason : kms_err_reason(err),
                         words[0] != '\0' ? words : kms_err_text(err));
}

static kms_err build(struct kms_env_variable *v, struct kms_bytes value, struct kms_why *why)
{
    size_t bytes = v->name.len + 1 + value.len + 1;
    if (value.len > 0 && memchr(value.ptr, 0, value.len) != NULL) {
        kms_why_set(why, "holds a NUL byte, which an environment cannot");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (bytes > KMS_ENV_STRING_BYTES) {
        kms_why_set(why, "longer than the %d bytes that Linux takes in one variable", KMS_ENV_STRING_BYTES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    char *string = kms_locked_alloc(bytes);
    if (string == NULL) {
        kms_why_set(why, "no memory can be locked into RAM: raise the limit (ulimit -l, LimitMEMLOCK=)");
        return KMS_FAIL(NO_MEMORY);
    }
    kms_copy(string, v->name.ptr, v->name.len);
    string[v->name.len] = '=';
    kms_copy(string + v->name.len + 1, value.ptr, value.len);
    v->string = string;
    v->string_bytes = bytes;
    v->inherited = NULL;
    return KMS_OK;
}

static kms_err collect(kms_env_plan *plan, const char *key, kms_env_jobs *jobs, struct failures *failures)
{
    for (size_t i = 0, added = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        struct kms_why why = {0};
        if (v->kind != KMS_ENV_KIND_CIPHERTEXT) continue;
        v->at = added;
        kms_err err = kms_env_jobs_add(jobs, v->name, v->app, key, v->value, &why);
        if (!kms_is(err, KMS_E_INVALID_CIPHERTEXT))
            KMS_TRY(err);
        else
            KMS_TRY(fail(failures, v, err, "", why.text));
        v->asked = !kms_failed(err);
        if (v->asked) added++;
    }
    return KMS_OK;
}

static kms_err collect_references(kms_env_plan *plan, struct failures *failures)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        struct kms_why why = {0};
        if (v->kind != KMS_ENV_KIND_REFERENCE) continue;
        kms_err err = kms_env_reference_parse(v->value, &v->reference, &why);
        v->asked = !kms_failed(err);
        if (v->asked)
            KMS_TRY(kms_env_fetches_add(plan->fetches, &v->reference, &v->at));
        else
            KMS_TRY(fail(failures, v, err, "", why.text));
    }
    return KMS_OK;
}

/* Plain values of env files: no service, but the same rules for what an environment can hold. */
static kms_err build_plain(kms_env_plan *plan, struct failures *failures)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        struct kms_why why = {0};
        if (v->file == NULL || v->kind != KMS_ENV_KIND_PLAIN) continue;
        kms_err err = build(v, v->value, &why);
        if (kms_failed(err)) KMS_TRY(fail(failures, v, err, "", why.text));
    }
    return KMS_OK;
}

/* value is given away, so that each is locked once only. */
static kms_err build_secret(struct kms_env_variable *v, kms_secret *value, struct kms_why *why)
{
    struct kms_bytes bytes = {0};
    if (value != NULL) bytes = kms_bytes_of(kms_secret_data(value), kms_secret_len(value));
    kms_err err = build(v, bytes, why);
    kms_secret_free(value);
    return err;
}

static kms_err finish_job(struct kms_env_variable *v, struct kms_env_job *job, struct failures *failures)
{
    kms_err err = job->err;
    if (!kms_failed(err)) err = build_secret(v, KMS_GIVE(job->plaintext), &job->why);
    return kms_failed(err) ? fail(failures, v, err, job->reason, job->why.text) : KMS_OK;
}

static kms_err finish_fetch(struct kms_env_variable *v, const struct kms_env_fetch *fetch,
                            struct failures *failures)
{
    struct kms_why why = {0};
    kms_secret *value = NULL;
    kms_err err = kms_env_fetch_value(fetch, &v->reference, &value, &why);
    if (!kms_failed(err)) err = build_secret(v, value, &why);
    return kms_failed(err) ? fail(failures, v, err, fetch->reason, why.text) : KMS_OK;
}

static kms_err finish(kms_env_plan *plan, kms_env_jobs *jobs, struct failures *failures)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        if (!v->asked) continue;
        KMS_TRY(v->kind == KMS_ENV_KIND_CIPHERTEXT
                    ? finish_job(v, kms_env_jobs_at(jobs, v->at), failures)
                    : finish_fetch(v, kms_env_fetches_at(plan->fetches, v->at), failures));
    }
    return KMS_OK;
}

/* When something cannot be had anyway, the service is still asked: all that fails is told at once. */
static kms_err run(kms_env_plan *plan, const char *key, struct kms_env_providers providers,
                   struct failures *failures, struct kms_why *why)
{
    KMS_OWN(kms_env_jobs) jobs = NULL;
    KMS_TRY(kms_env_jobs_new(plan->count, &jobs));
    KMS_TRY(collect(plan, key, jobs, failures));
    KMS_TRY(collect_references(plan, failures));
    KMS_TRY(build_plain(plan, failures));
    KMS_TRY(kms_env_jobs_run(jobs, providers.decrypter, why));
    KMS_TRY(kms_env_fetches_run(plan->fetches, providers.fetcher, why));
    return finish(plan, jobs, failures);
}

kms_err kms_env_plan_resolve(kms_env_plan *plan, const char *key, struct kms_env_providers providers,
                             kms_buf *notes, struct kms_why *why)
{
    struct failures failures = {.notes = notes, .first = KMS_OK};
    kms_env_fetches_free(plan->fetches);
    plan->fetches = NULL;
    KMS_TRY(kms_env_fetches_new(&plan->fetches));
    kms_err err = run(plan, key, providers, &failures, why);
    kms_env_fetches_wipe(plan->fetches);
    KMS_TRY(err);
    if (failures.count == 0 || plan->options->allow_missing) return KMS_OK;
    kms_why_set(why, "%zu value%s could not be had: nothing was started", failures.count,
                failures.count == 1 ? "" : "s");
    return failures.first;
}

kms_env_fetches *kms_env_plan_fetches(const kms_env_plan *plan)
{
    return plan->fetches;
}
