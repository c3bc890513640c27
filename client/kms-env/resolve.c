/* Decrypts what a plan needs, all at once, and puts the strings of the child together in locked memory. */
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
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        struct kms_why why = {0};
        if (!v->ciphertext) continue;
        kms_err err = kms_env_jobs_add(jobs, v->name, v->app, key, v->value, &why);
        if (!kms_is(err, KMS_E_INVALID_CIPHERTEXT))
            KMS_TRY(err);
        else
            KMS_TRY(fail(failures, v, err, "", why.text));
        v->asked = !kms_failed(err);
    }
    return KMS_OK;
}

/* Plain values of env files: no service, but the same rules for what an environment can hold. */
static kms_err build_plain(kms_env_plan *plan, struct failures *failures)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        struct kms_why why = {0};
        if (v->file == NULL || v->ciphertext) continue;
        kms_err err = build(v, v->value, &why);
        if (kms_failed(err)) KMS_TRY(fail(failures, v, err, "", why.text));
    }
    return KMS_OK;
}

static kms_err finish(struct kms_env_variable *v, struct kms_env_job *job, struct failures *failures)
{
    kms_err err = job->err;
    if (!kms_failed(err)) {
        kms_secret *s = job->plaintext;
        struct kms_bytes value = {0};
        if (s != NULL) value = kms_bytes_of(kms_secret_data(s), kms_secret_len(s));
        err = build(v, value, &job->why);
        kms_secret_free(s); /* as soon as it is copied, so that each value is locked once only */
        job->plaintext = NULL;
    }
    return kms_failed(err) ? fail(failures, v, err, job->reason, job->why.text) : KMS_OK;
}

/* When something cannot be had anyway, the service is still asked: all that fails is told at once. */
static kms_err run(kms_env_plan *plan, const char *key, struct kms_env_decrypter decrypter,
                   struct failures *failures, struct kms_why *why)
{
    KMS_OWN(kms_env_jobs) jobs = NULL;
    KMS_TRY(kms_env_jobs_new(plan->count, &jobs));
    KMS_TRY(collect(plan, key, jobs, failures));
    KMS_TRY(build_plain(plan, failures));
    KMS_TRY(kms_env_jobs_run(jobs, decrypter, why));
    for (size_t i = 0, at = 0; i < plan->count; i++)
        if (plan->variables[i].asked)
            KMS_TRY(finish(&plan->variables[i], kms_env_jobs_at(jobs, at++), failures));
    return KMS_OK;
}

kms_err kms_env_plan_resolve(kms_env_plan *plan, const char *key, struct kms_env_decrypter decrypter,
                             kms_buf *notes, struct kms_why *why)
{
    struct failures failures = {.notes = notes, .first = KMS_OK};
    KMS_TRY(run(plan, key, decrypter, &failures, why));
    if (failures.count == 0 || plan->options->allow_missing) return KMS_OK;
    kms_why_set(why, "%zu value%s could not be had: nothing was started", failures.count,
                failures.count == 1 ? "" : "s");
    return failures.first;
}
