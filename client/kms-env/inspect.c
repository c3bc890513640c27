/* Judges values one by one, offline first; decryption is a second step that the caller may leave out. */
#include "client/kms-env/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "client/kms-env/bind.h"
#include "client/kms-env/guard.h"

static kms_err add(kms_env_report *report, struct kms_env_finding finding, struct kms_bytes value)
{
    if (report->count == report->cap) {
        size_t cap = report->cap == 0 ? 32 : 2 * report->cap;
        struct kms_env_finding *findings = reallocarray(report->findings, cap, sizeof *findings);
        if (findings == NULL) return KMS_FAIL(NO_MEMORY);
        report->findings = findings;
        struct kms_bytes *values = reallocarray(report->values, cap, sizeof *values);
        if (values == NULL) return KMS_FAIL(NO_MEMORY);
        report->values = values;
        report->cap = cap;
    }
    report->values[report->count] = value;
    report->findings[report->count++] = finding;
    return KMS_OK;
}

static kms_err judge_ciphertext(struct kms_env_finding *finding, struct kms_bytes value)
{
    KMS_OWN_BUF blob = {0};
    struct kms_bytes sealed;
    kms_err err = kms_ciphertext_from_text(value, &blob, &finding->detail);
    if (!kms_failed(err))
        err = kms_ciphertext_parse(kms_buf_view(&blob), &finding->header, &sealed, &finding->detail);
    if (kms_is(err, KMS_E_NO_MEMORY)) return err;
    finding->state = kms_failed(err) ? KMS_ENV_DAMAGED : KMS_ENV_CIPHERTEXT;
    if (kms_failed(err)) finding->wrong = "damaged";
    return KMS_OK;
}

static void judge_reference(struct kms_env_finding *finding, struct kms_bytes value)
{
    kms_err err = kms_env_reference_parse(value, &finding->reference, &finding->detail);
    finding->state = kms_failed(err) ? KMS_ENV_DAMAGED : KMS_ENV_REFERENCE;
    if (kms_failed(err)) finding->wrong = "not a valid reference";
}

static void judge_plain(struct kms_env_finding *finding, struct kms_bytes value, bool strict)
{
    finding->state = value.len == 0 ? KMS_ENV_EMPTY : KMS_ENV_PLAIN;
    if (value.len == 0) return;
    if (kms_env_name_looks_secret(finding->name))
        finding->wrong = "plain, and its name says secret";
    else if (kms_env_value_looks_secret(value))
        finding->wrong = "plain, and it holds a secret";
    else if (strict)
        finding->wrong = "plain";
}

static kms_err judge(kms_env_report *report, const struct kms_env_inspect_options *options,
                     struct kms_env_finding finding, struct kms_bytes value)
{
    if (!kms_env_names_have(options->only, finding.name)) return KMS_OK;
    if (kms_ciphertext_is_text(value))
        KMS_TRY(judge_ciphertext(&finding, value));
    else if (kms_env_reference_is(value))
        judge_reference(&finding, value);
    else
        judge_plain(&finding, value, options->strict);
    return add(report, finding, value);
}

static kms_err judge_document(kms_env_report *report, const struct kms_env_inspect_options *options,
                              const struct kms_env_input *input)
{
    struct kms_bytes app =
        kms_env_app(options->app, kms_dotenv_header(input->document)->app, options->fallback_app);
    for (size_t i = 0; i < kms_dotenv_count(input->document); i++) {
        const struct kms_dotenv_entry *entry = kms_dotenv_entry(input->document, i);
        struct kms_env_finding finding = {
            .name = entry->name, .app = app, .file = input->path, .line = entry->line};
        if (entry->assigned) KMS_TRY(judge(report, options, finding, entry->value));
    }
    return KMS_OK;
}

kms_err kms_env_inspect(char *const *environment, const struct kms_env_input *inputs, size_t input_count,
                        const struct kms_env_inspect_options *options, kms_env_report *report)
{
    for (size_t i = 0; i < input_count; i++) KMS_TRY(judge_document(report, options, &inputs[i]));
    for (; environment != NULL && *environment != NULL; environment++) {
        const char *equals = strchr(*environment, '=');
        if (equals == NULL) continue;
        struct kms_env_finding finding = {
            .name = kms_bytes_of(*environment, (size_t)(equals - *environment)),
            .app = kms_env_app(options->app, kms_bytes_of(NULL, 0), options->fallback_app)};
        KMS_TRY(judge(report, options, finding, kms_bytes_text(equals + 1)));
    }
    return KMS_OK;
}

static void note_failure(struct kms_env_finding *finding, const char *wrong, const char *reason,
                         const struct kms_why *why)
{
    finding->wrong = wrong;
    finding->detail = *why;
    if (reason[0] == '\0') reason = kms_err_reason(finding->outcome);
    kms_copy(finding->reason, reason, strnlen(reason, sizeof finding->reason - 1));
}

static void note_job(struct kms_env_finding *finding, const struct kms_env_job *job)
{
    finding->tried = true;
    finding->outcome = job->err;
    if (kms_failed(job->err)) note_failure(finding, "cannot be decrypted", job->reason, &job->why);
}

static void note_fetch(struct kms_env_finding *finding, const struct kms_env_fetch *fetch)
{
    KMS_OWN(kms_secret) value = NULL;
    struct kms_why why = {0};
    finding->tried = true;
    finding->outcome = kms_env_fetch_value(fetch, &finding->reference, &value, &why);
    if (kms_failed(finding->outcome)) note_failure(finding, "cannot be had", fetch->reason, &why);
}

static kms_err decrypt_all(kms_env_report *report, const struct kms_env_inspect_options *options,
                           struct kms_env_decrypter decrypter, struct kms_why *why)
{
    KMS_OWN(kms_env_jobs) jobs = NULL;
    KMS_TRY(kms_env_jobs_new(report->count, &jobs));
    for (size_t i = 0; i < report->count; i++) {
        const struct kms_env_finding *f = &report->findings[i];
        if (f->state == KMS_ENV_CIPHERTEXT)
            KMS_TRY(kms_env_jobs_add(jobs, f->name, f->app, options->key, report->values[i], why));
    }
    KMS_TRY(kms_env_jobs_run(jobs, decrypter, why));
    for (size_t i = 0, at = 0; i < report->count; i++)
        if (report->findings[i].state == KMS_ENV_CIPHERTEXT)
            note_job(&report->findings[i], kms_env_jobs_at(jobs, at++));
    return KMS_OK;
}

/* Credentials made on demand would be made: of a database role, only that it is well-formed is said. */
static bool fetchable(const struct kms_env_finding *f)
{
    return f->state == KMS_ENV_REFERENCE && f->reference.kind == KMS_ENV_REFERENCE_SECRET;
}

static kms_err fetch_all(kms_env_report *report, struct kms_env_fetcher fetcher, struct kms_why *why)
{
    KMS_OWN(kms_env_fetches) fetches = NULL;
    size_t at = 0;
    KMS_TRY(kms_env_fetches_new(&fetches));
    for (size_t i = 0; i < report->count; i++)
        if (fetchable(&report->findings[i]))
            KMS_TRY(kms_env_fetches_add(fetches, &report->findings[i].reference, &at));
    KMS_TRY(kms_env_fetches_run(fetches, fetcher, why));
    for (size_t i = 0; i < report->count; i++) {
        if (!fetchable(&report->findings[i])) continue;
        KMS_TRY(kms_env_fetches_add(fetches, &report->findings[i].reference, &at)); /* finds it */
        note_fetch(&report->findings[i], kms_env_fetches_at(fetches, at));
    }
    return KMS_OK;
}

kms_err kms_env_inspect_online(kms_env_report *report, const struct kms_env_inspect_options *options,
                               struct kms_env_providers providers, struct kms_why *why)
{
    KMS_TRY(decrypt_all(report, options, providers.decrypter, why));
    return fetch_all(report, providers.fetcher, why);
}

size_t kms_env_report_wrong(const kms_env_report *report)
{
    size_t wrong = 0;
    for (size_t i = 0; i < report->count; i++)
        if (report->findings[i].wrong != NULL) wrong++;
    return wrong;
}

void kms_env_report_free(kms_env_report *report)
{
    free(report->findings);
    free(report->values);
    *report = (kms_env_report){0};
}

const char *kms_env_state_name(enum kms_env_state state)
{
    static const char *const names[] = {[KMS_ENV_PLAIN] = "plain",
                                        [KMS_ENV_EMPTY] = "empty",
                                        [KMS_ENV_CIPHERTEXT] = "ciphertext",
                                        [KMS_ENV_REFERENCE] = "reference",
                                        [KMS_ENV_DAMAGED] = "damaged"};
    return names[state];
}

const char *kms_env_algorithm_name(uint8_t algorithm)
{
    switch (algorithm) {
    case KMS_ALG_AES_256_GCM:
        return "AES_256_GCM";
    case KMS_ALG_AES_256_GCM_DERIVED:
        return "AES_256_GCM_DERIVED";
    default:
        return "unknown";
    }
}
