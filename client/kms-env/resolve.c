/* Decrypts what a plan needs, all at once, and puts the strings of the child together in locked memory. */
#include "client/kms-env/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "base/ciphertext.h"
#include "client/kms-env/plan.h"

/* A ciphertext of the plan: the bytes and the names that its job borrows. */
struct item {
    struct kms_env_variable *variable;
    char *name, *app;
    kms_buf blob;
};

struct batch {
    struct item *items;
    struct kms_env_job *jobs; /* jobs[i] is of items[i] */
    size_t count, cap;
    size_t failed;
    kms_err first; /* error, when failed > 0 */
};

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        kms_secret_free(batch->jobs[i].plaintext);
        kms_buf_free(&batch->items[i].blob);
        free(batch->items[i].name);
        free(batch->items[i].app);
    }
    free(batch->items);
    free(batch->jobs);
}

static kms_err note_failure(struct batch *batch, const struct kms_env_variable *v, kms_err err,
                            const char *words, kms_buf *notes)
{
    if (batch->failed++ == 0) batch->first = err;
    KMS_TRY(kms_buf_print(notes, "%.*s", (int)v->name.len, (const char *)v->name.ptr));
    if (v->file != NULL) KMS_TRY(kms_buf_print(notes, " (%s:%u)", v->file, v->line));
    return kms_buf_print(notes, ": %s: %s\n", kms_err_reason(err),
                         words[0] != '\0' ? words : kms_err_text(err));
}

/* A failed variable stands for nothing: plan_environment leaves it out. */
static void leave_out(struct kms_env_variable *variable)
{
    variable->inherited = NULL;
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

static kms_err add_job(struct batch *batch, struct kms_env_variable *v, const char *key, kms_buf *notes)
{
    struct kms_why why = {0};
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    struct item *item = &batch->items[batch->count];
    struct kms_env_job *job = &batch->jobs[batch->count++];
    *item = (struct item){.variable = v};
    *job = (struct kms_env_job){0};
    item->name = strndup((const char *)v->name.ptr, v->name.len);
    item->app = strndup((const char *)v->app.ptr, v->app.len);
    if (item->name == NULL || item->app == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_ciphertext_from_text(v->value, &item->blob, &why);
    if (kms_is(err, KMS_E_NO_MEMORY)) return err;
    if (!kms_failed(err)) err = kms_ciphertext_parse(kms_buf_view(&item->blob), &header, &sealed, &why);
    if (kms_failed(err)) {
        kms_buf_free(&item->blob);
        free(item->name);
        free(item->app);
        batch->count--;
        leave_out(v);
        return note_failure(batch, v, err, why.text, notes);
    }
    *job = (struct kms_env_job){
        .name = item->name, .app = item->app, .key = key, .ciphertext = kms_buf_view(&item->blob)};
    return KMS_OK;
}

static kms_err collect(kms_env_plan *plan, const char *key, struct batch *batch, kms_buf *notes)
{
    batch->items = calloc(plan->count + 1, sizeof *batch->items);
    batch->jobs = calloc(plan->count + 1, sizeof *batch->jobs);
    if (batch->items == NULL || batch->jobs == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->variables[i].ciphertext) KMS_TRY(add_job(batch, &plan->variables[i], key, notes));
    return KMS_OK;
}

static kms_err finish_job(struct batch *batch, size_t index, kms_buf *notes)
{
    struct kms_env_job *job = &batch->jobs[index];
    struct kms_env_variable *v = batch->items[index].variable;
    kms_err err = job->err;
    if (!kms_failed(err)) {
        kms_secret *s = job->plaintext;
        struct kms_bytes value =
            s != NULL ? kms_bytes_of(kms_secret_data(s), kms_secret_len(s)) : (struct kms_bytes){0};
        err = build(v, value, &job->why);
        kms_secret_drop(&job->plaintext);
        job->plaintext = NULL;
    }
    if (!kms_failed(err)) return KMS_OK;
    leave_out(v);
    return note_failure(batch, v, err, job->why.text, notes);
}

/* Plain values of env files: no service, but the same rules for what an environment can hold. */
static kms_err build_plain(kms_env_plan *plan, struct batch *batch, kms_buf *notes)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kms_env_variable *v = &plan->variables[i];
        if (v->file == NULL || v->ciphertext) continue;
        struct kms_why why = {0};
        kms_err err = build(v, v->value, &why);
        if (kms_failed(err)) KMS_TRY(note_failure(batch, v, err, why.text, notes));
    }
    return KMS_OK;
}

static kms_err run(kms_env_plan *plan, const char *key, struct kms_env_decrypter decrypter,
                   struct batch *batch, kms_buf *notes, struct kms_why *why)
{
    KMS_TRY(collect(plan, key, batch, notes));
    KMS_TRY(build_plain(plan, batch, notes));
    /* when something cannot be had anyway, the service is still asked: all that fails is told at once */
    if (batch->count > 0) KMS_TRY(decrypter.decrypt(decrypter.self, batch->jobs, batch->count, why));
    for (size_t i = 0; i < batch->count; i++) KMS_TRY(finish_job(batch, i, notes));
    return KMS_OK;
}

kms_err kms_env_plan_resolve(kms_env_plan *plan, const char *key, struct kms_env_decrypter decrypter,
                             kms_buf *notes, struct kms_why *why)
{
    struct batch batch = {.first = KMS_OK};
    kms_err err = run(plan, key, decrypter, &batch, notes, why);
    batch_free(&batch);
    if (kms_failed(err) || batch.failed == 0 || plan->options->allow_missing) return err;
    kms_why_set(why, "%zu value%s could not be had: nothing was started", batch.failed,
                batch.failed == 1 ? "" : "s");
    return batch.first;
}
