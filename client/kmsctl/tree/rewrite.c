/* One run of ReEncrypt for the values of a window, then its files. */
#include "client/kmsctl/tree/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/bind.h"

enum { IN_FLIGHT = 32, PER_RUN = 256 };

/* One selected value on its way. */
struct parcel {
    const struct ctl_job *job;
    size_t index; /* of the value in its job */
    struct kms_env_pairs pairs;
    char key[KMS_ID_TEXT]; /* that made it, then that makes it */
    kms_buf text;          /* what it becomes; empty: it failed */
    uint32_t version;      /* that made it */
};

typedef struct load {
    struct parcel *parcels; /* those of a job lie together, in order */
    struct kms_re_encrypt_item *items;
    size_t count;
} load;

static void load_free(load *l)
{
    for (size_t i = 0; i < l->count; i++) kms_buf_free(&l->parcels[i].text);
    free(l->parcels);
    free(l->items);
}

static const struct ctl_value *value_of(const struct parcel *parcel)
{
    return &parcel->job->values.items[parcel->index];
}

void ctl_job_free(struct ctl_job *job)
{
    ctl_source_free(&job->source);
    ctl_values_free(&job->values);
    free(job->selected);
    *job = (struct ctl_job){0};
}

void ctl_window_add(ctl_window *window, struct ctl_job *job)
{
    for (size_t i = 0; i < job->values.count; i++) window->values += job->selected[i];
    window->bytes += job->source.cap;
    window->jobs[window->count++] = *job;
    *job = (struct ctl_job){0};
}

bool ctl_window_full(const ctl_window *window)
{
    return window->count == CTL_WINDOW_FILES || window->values >= CTL_WINDOW_VALUES ||
           window->bytes >= CTL_WINDOW_BYTES;
}

void ctl_window_free(ctl_window *window)
{
    for (size_t i = 0; i < window->count; i++) ctl_job_free(&window->jobs[i]);
    *window = (ctl_window){0};
}

bool ctl_is_stop(const struct kms_error *error)
{
    enum { DEADLINE_EXCEEDED = 4, RESOURCE_EXHAUSTED = 8, UNAVAILABLE = 14, UNAUTHENTICATED = 16 };
    return error->code == DEADLINE_EXCEEDED || error->code == RESOURCE_EXHAUSTED ||
           error->code == UNAVAILABLE || error->code == UNAUTHENTICATED;
}

static const char *app_of(const struct ctl_rewrite *rewrite, const struct ctl_job *job)
{
    struct kms_bytes app = kms_env_app(rewrite->app, kms_bytes_text(job->values.app), rewrite->fallback_app);
    return (const char *)app.ptr; /* each of the three ends in NUL */
}

static bool bound_by_kms_env(const struct ctl_rewrite *rewrite, const struct ctl_job *job)
{
    return job->format == CTL_FORMAT_ENV || rewrite->context == NULL;
}

static void fill(const struct ctl_rewrite *rewrite, struct parcel *parcel, struct kms_re_encrypt_item *item)
{
    const struct ctl_value *value = value_of(parcel);
    struct kms_context context = bound_by_kms_env(rewrite, parcel->job)
                                     ? kms_env_bind(&parcel->pairs, app_of(rewrite, parcel->job), value->name)
                                     : *rewrite->context;
    kms_id_text(&value->header.key_id, parcel->key);
    item->request = (struct kms_re_encrypt_request){
        .ciphertext = {.data = value->blob.data, .len = value->blob.len},
        .source_context = context,
        .destination_context = context,
        .destination_key_id = rewrite->to != NULL ? rewrite->to : parcel->key};
}

static kms_err fill_all(const ctl_window *window, const struct ctl_rewrite *rewrite, load *l)
{
    l->parcels = calloc(window->values + 1, sizeof *l->parcels);
    l->items = calloc(window->values + 1, sizeof *l->items);
    if (l->parcels == NULL || l->items == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < window->count; i++) {
        const struct ctl_job *job = &window->jobs[i];
        for (size_t v = 0; v < job->values.count; v++) {
            if (!job->selected[v]) continue;
            l->parcels[l->count] = (struct parcel){.job = job, .index = v};
            fill(rewrite, &l->parcels[l->count], &l->items[l->count]);
            l->count++;
        }
    }
    return KMS_OK;
}

/* A wrong context is the usual cause and reads like damage: say which one was tried. */
static void explain(const struct ctl_rewrite *rewrite, const struct parcel *parcel, struct kms_error *error)
{
    if (strcmp(error->reason, kms_err_reason(KMS_FAIL(INVALID_CIPHERTEXT))) != 0) return;
    if (bound_by_kms_env(rewrite, parcel->job))
        snprintf(error->message, sizeof error->message,
                 "damaged, or not made for the variable %.200s of application %s (--app, --context)",
                 value_of(parcel)->name, app_of(rewrite, parcel->job));
    else
        snprintf(error->message, sizeof error->message,
                 "damaged, or made with another encryption context than --context says");
}

/* The answer replaces the only copy there is, so what is no ciphertext is not taken. */
static kms_err take_result(const struct kms_re_encrypt_result *result, struct parcel *parcel,
                           struct kms_why *why)
{
    struct kms_bytes blob = kms_bytes_of(result->ciphertext.data, result->ciphertext.len), sealed;
    struct kms_ciphertext_header header;
    KMS_TRY(kms_ciphertext_parse(blob, &header, &sealed, why));
    parcel->version = header.key_version;
    kms_id_text(&header.key_id, parcel->key);
    return kms_ciphertext_to_text(blob, &parcel->text);
}

static void take(const struct ctl_rewrite *rewrite, struct parcel *parcel, struct kms_re_encrypt_item *item)
{
    ctl_outcome *outcome = rewrite->outcome;
    struct kms_why why = {0};
    if (item->result == NULL && ctl_is_stop(&item->error)) {
        outcome->stop = item->error;
    } else if (item->result == NULL) {
        explain(rewrite, parcel, &item->error);
        ctl_outcome_fail(outcome, parcel->job->path, value_of(parcel), &item->error);
    } else {
        kms_err err = take_result(item->result, parcel, &why);
        if (kms_failed(err))
            ctl_outcome_fail_local(outcome, parcel->job->path, value_of(parcel), err, why.text);
    }
    kms_re_encrypt_result_free(item->result);
    item->result = NULL;
}

static void ask(const struct ctl_rewrite *rewrite, load *l)
{
    for (size_t at = 0; at < l->count; at += PER_RUN) {
        size_t count = l->count - at < PER_RUN ? l->count - at : PER_RUN;
        bool all = rewrite->outcome->stop.code == 0 &&
                   kms_client_re_encrypt_many(rewrite->client, l->items + at, count, IN_FLIGHT, NULL, NULL);
        (void)all; /* each item says it for itself */
        for (size_t i = at; rewrite->outcome->stop.code == 0 && i < at + count; i++)
            take(rewrite, &l->parcels[i], &l->items[i]);
        for (size_t i = at; i < at + count; i++) kms_re_encrypt_result_free(l->items[i].result);
    }
}

static bool same_value(const struct ctl_value *old, const kms_buf *text, const struct ctl_value *new)
{
    KMS_OWN_BUF want = {0};
    kms_err err = text->len > 0 ? kms_ciphertext_from_text(kms_buf_view(text), &want, NULL)
                                : kms_buf_append(&want, old->blob.data, old->blob.len);
    return !kms_failed(err) && new->wrong == NULL &&strcmp(old->name, new->name) == 0 &&
           kms_bytes_equal(kms_buf_view(&want), kms_buf_view(&new->blob));
}

/* What will be written is read first, by the same reader: the same values in the same order, but for the new
 * texts. LIMIT_EXCEEDED: kms-env reads no file that long, and would not start what it starts today. */
static kms_err check_new(const struct ctl_job *job, enum kms_dotenv_dialect dialect, const kms_buf *texts,
                         const ctl_source *new, struct kms_why *why)
{
    KMS_OWN_VALUES values = ctl_values_of(ctl_source_text(new));
    if (job->format == CTL_FORMAT_ENV && new->len >= KMS_DOTENV_BYTES) {
        kms_why_set(why, "it would have %zu bytes, and kms-env reads less than %d: split it", new->len,
                    KMS_DOTENV_BYTES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    kms_err err = ctl_find(job->format, dialect, &values, why);
    if (kms_is(err, KMS_E_NO_MEMORY)) return err;
    bool same = !kms_failed(err) && values.count == job->values.count;
    for (size_t i = 0; same && i < values.count; i++)
        same = same_value(&job->values.items[i], &texts[i], &values.items[i]);
    if (same) return KMS_OK;
    kms_why_set(why, "with the new values it would not read as before: move them by hand");
    return KMS_FAIL(UNSUPPORTED);
}

/* texts borrow from the parcels. */
static kms_err replace(const struct ctl_rewrite *rewrite, const struct ctl_job *job, const kms_buf *texts,
                       struct kms_why *why)
{
    KMS_OWN_SOURCE new = {0};
    KMS_TRY(ctl_source_with(&job->source, &job->values, texts, &new));
    KMS_TRY(check_new(job, rewrite->dialect, texts, &new, why));
    return ctl_source_replace(job->path, &new, why);
}

/* parcels: those of job. */
static kms_err write_job(const struct ctl_rewrite *rewrite, const struct ctl_job *job,
                         const struct parcel *parcels, size_t count)
{
    struct kms_why why = {0};
    kms_buf *texts = calloc(job->values.count + 1, sizeof *texts);
    if (texts == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) texts[parcels[i].index] = parcels[i].text;
    kms_err err = replace(rewrite, job, texts, &why);
    free(texts);
    ctl_outcome *outcome = rewrite->outcome;
    if (kms_failed(err)) {
        ctl_outcome_fail_local(outcome, job->path, NULL, err, why.text);
        return kms_is(err, KMS_E_NO_MEMORY) ? err : KMS_OK;
    }
    outcome->changed_files++;
    outcome->re_encrypted += count;
    for (size_t i = 0; i < count; i++)
        ctl_outcome_change(outcome, job->path, value_of(&parcels[i]), parcels[i].key, parcels[i].version);
    return KMS_OK;
}

static kms_err write_all(const struct ctl_rewrite *rewrite, const load *l, bool (*keep_on)(void))
{
    size_t end;
    for (size_t at = 0; at < l->count; at = end) {
        bool complete = true;
        for (end = at; end < l->count && l->parcels[end].job == l->parcels[at].job; end++)
            complete = complete && l->parcels[end].text.len > 0;
        if (complete && keep_on()) KMS_TRY(write_job(rewrite, l->parcels[at].job, &l->parcels[at], end - at));
    }
    return KMS_OK;
}

kms_err ctl_window_flush(ctl_window *window, const struct ctl_rewrite *rewrite, bool (*keep_on)(void))
{
    __attribute__((cleanup(load_free))) load l = {0};
    kms_err err = fill_all(window, rewrite, &l);
    if (!kms_failed(err)) {
        ask(rewrite, &l);
        err = write_all(rewrite, &l, keep_on);
    }
    ctl_window_free(window);
    return err;
}
