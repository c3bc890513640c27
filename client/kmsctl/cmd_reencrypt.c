/* kmsctl reencrypt: the values of whole trees of files, in place. Plaintext stays in the HSM worker. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/bind.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"
#include "client/kmsctl/tree/rewrite.h"
#include "client/kmsctl/tree/walk.h"

enum { MAX_BYTES = 4 * 1024 * 1024 };

static const char unknown_format[] = "in a file that is not .env, .yaml, .yml or .json by its name";
static const char not_a_value[] = "no value of its own: in a comment, or part of a longer text";
static const char too_large[] = "not looked into: larger than --max-bytes";

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

static bool keep_on(void)
{
    return stopped == 0;
}

struct run {
    const struct ctl *ctl;
    struct ctl_rewrite rewrite;
    struct ctl_version to, only; /* key version 0: not asked for */
    ctl_versions versions;
    ctl_outcome outcome;
    ctl_window window;
    struct ctl_pairs pairs;
    struct kms_context context;
};

static void run_free(struct run *run)
{
    ctl_window_free(&run->window);
    ctl_versions_free(&run->versions);
    ctl_outcome_free(&run->outcome);
}

/* The key that is to encrypt, and its version; NULL: *error says why it cannot be known. */
static const struct ctl_version *target_of(struct run *run, const struct kms_ciphertext_header *header,
                                           struct kms_error *error)
{
    if (run->to.current != 0) return &run->to;
    return ctl_version_of(&run->versions, run->rewrite.client, &header->key_id, error);
}

/* False: *error says why it cannot be known. */
static bool is_selected(struct run *run, const struct kms_ciphertext_header *header, bool *ret_selected,
                        struct kms_error *error)
{
    *ret_selected = run->only.current == 0 || kms_id_equal(&run->only.key, &header->key_id);
    if (!*ret_selected || run->ctl->all) return true;
    const struct ctl_version *target = target_of(run, header, error);
    if (target == NULL) return false;
    *ret_selected = !kms_id_equal(&target->key, &header->key_id) || target->current != header->key_version;
    return true;
}

/* False: the file stays as it is; the outcome says why, or that everything stops. */
static bool select_value(struct run *run, struct ctl_job *job, size_t index)
{
    const struct ctl_value *value = &job->values.items[index];
    struct kms_error error = {0};
    run->outcome.values++;
    if (value->wrong != NULL) {
        ctl_outcome_fail_local(&run->outcome, job->path, value, KMS_FAIL(INVALID_CIPHERTEXT), value->wrong);
        return false;
    }
    if (is_selected(run, &value->header, &job->selected[index], &error)) {
        run->outcome.selected += job->selected[index];
        return true;
    }
    if (ctl_is_stop(&error))
        run->outcome.stop = error;
    else
        ctl_outcome_fail(&run->outcome, job->path, value, &error);
    return false;
}

static void note_others(struct run *run, struct ctl_job *job)
{
    struct ctl_value other;
    const char *why = job->format == CTL_FORMAT_UNKNOWN ? unknown_format : not_a_value;
    for (size_t at = 0; ctl_values_next_other(&job->values, &at, &other);) {
        bool selected = true;
        struct kms_error error; /* whoever cannot ask is told of the place */
        bool known = is_selected(run, &other.header, &selected, &error);
        if (!known || selected) ctl_outcome_other(&run->outcome, job->path, other.line, why);
        ctl_value_free(&other);
    }
}

static void preview(struct run *run, const struct ctl_job *job)
{
    for (size_t i = 0; i < job->values.count; i++) {
        const struct ctl_value *value = &job->values.items[i];
        char own[KMS_ID_TEXT];
        struct kms_error error;
        if (!job->selected[i]) continue;
        const struct ctl_version *target = run->ctl->all ? NULL : target_of(run, &value->header, &error);
        kms_id_text(&value->header.key_id, own);
        ctl_outcome_change(&run->outcome, job->path, value, run->rewrite.to != NULL ? run->rewrite.to : own,
                           target != NULL ? target->current : 0);
    }
}

/* Its values, chosen. False: nothing is to be done with it; the outcome says why when that is a failure. */
static bool choose(struct run *run, struct ctl_job *job)
{
    size_t failed = 0, selected = 0;
    struct kms_why why = {0};
    kms_err err = ctl_find(job->format, run->rewrite.dialect, &job->values, &why);
    if (!kms_failed(err)) job->selected = calloc(job->values.count + 1, sizeof *job->selected);
    if (!kms_failed(err) && job->selected == NULL) err = KMS_FAIL(NO_MEMORY);
    if (kms_failed(err)) {
        ctl_outcome_fail_local(&run->outcome, job->path, NULL, err, why.text);
        return false;
    }
    for (size_t i = 0; i < job->values.count && run->outcome.stop.code == 0; i++)
        if (!select_value(run, job, i)) failed++;
    if (run->outcome.stop.code == 0) note_others(run, job);
    for (size_t i = 0; i < job->values.count; i++) selected += job->selected[i];
    if (failed > 0 || selected == 0) return false;
    err = ctl_source_check(job->path, &job->source, &why);
    if (kms_failed(err)) ctl_outcome_fail_local(&run->outcome, job->path, NULL, err, why.text);
    return !kms_failed(err);
}

static void note_skip(struct run *run, const struct ctl_job *job)
{
    run->outcome.skipped[job->source.skip]++;
    if (job->source.skip == CTL_SKIP_LARGE) ctl_outcome_other(&run->outcome, job->path, 0, too_large);
}

static kms_err take_file(struct run *run, const struct ctl_file *file)
{
    __attribute__((cleanup(ctl_job_free))) struct ctl_job job = {.path = file->path,
                                                                 .format = ctl_format_of(file->path)};
    const size_t max_bytes = run->ctl->max_bytes != 0 ? run->ctl->max_bytes : MAX_BYTES;
    struct kms_why why = {0};
    if (file->named && job.format == CTL_FORMAT_UNKNOWN) job.format = CTL_FORMAT_ENV;
    kms_err err = ctl_source_read(file->path, file->named, max_bytes, &job.source, &why);
    if (kms_failed(err)) {
        ctl_outcome_fail_local(&run->outcome, file->path, NULL, err, why.text);
        return KMS_OK;
    }
    if (job.source.skip != CTL_SKIP_COUNT) {
        note_skip(run, &job);
        return KMS_OK;
    }
    run->outcome.files++;
    const struct kms_bytes text = ctl_source_text(&job.source);
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    if (memmem(text.ptr, text.len, KMS_CIPHERTEXT_TEXT_PREFIX, prefix) == NULL) return KMS_OK;
    job.values = ctl_values_of(text);
    if (!choose(run, &job)) return KMS_OK;
    if (run->ctl->dry_run)
        preview(run, &job);
    else
        ctl_window_add(&run->window, &job);
    return ctl_window_full(&run->window) ? ctl_window_flush(&run->window, &run->rewrite, keep_on) : KMS_OK;
}

static kms_err take_all(struct run *run)
{
    KMS_OWN_FILES files = {0};
    struct ctl_progress progress;
    ctl_progress_start(&progress, "files");
    kms_err err = ctl_walk(&run->ctl->rest, !run->ctl->dry_run, &files, &run->outcome);
    for (size_t i = 0; i < files.count && !kms_failed(err) && keep_on() && run->outcome.stop.code == 0; i++) {
        ctl_progress_show(&progress, i, files.count);
        err = take_file(run, &files.items[i]);
    }
    if (!kms_failed(err) && keep_on() && run->outcome.stop.code == 0)
        err = ctl_window_flush(&run->window, &run->rewrite, keep_on);
    ctl_progress_clear(&progress);
    return err;
}

/* A key that was named, by its id and version. */
static bool find_key(struct run *run, struct ctl *ctl, const char *name, struct ctl_version *ret_version)
{
    const struct ctl_version *version =
        name != NULL ? ctl_version_named(&run->versions, run->rewrite.client, name, &ctl->error) : NULL;
    if (version != NULL) *ret_version = *version;
    return name == NULL || version != NULL;
}

static bool read_options(struct ctl *ctl, struct run *run)
{
    struct kms_why why = {0};
    if (ctl->no_context && ctl->pairs.count > 0)
        return ctl_fail_usage(ctl, "--no-context and --context exclude each other");
    kms_err err = ctl_parse_pairs(&ctl->pairs, &run->pairs, &why);
    if (!kms_failed(err)) err = ctl_outcome_init(&run->outcome);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    run->context = ctl_context_of(&run->pairs);
    run->rewrite = (struct ctl_rewrite){
        .to = ctl->to, .app = ctl->app, .fallback_app = kms_env_fallback_app(), .outcome = &run->outcome};
    if (ctl->no_context || run->pairs.count > 0) run->rewrite.context = &run->context;
    if ((ctl->app != NULL && !kms_dotenv_app_valid(kms_bytes_text(ctl->app))) ||
        !kms_dotenv_app_valid(kms_bytes_text(run->rewrite.fallback_app)))
        return ctl_fail_usage(
            ctl, "the name of an application (--app, KMS_ENV_APP) has 1 to %d of A-Z a-z 0-9 . _ / -",
            KMS_DOTENV_APP_BYTES);
    if (ctl->dialect != NULL)
        (void)kms_dotenv_dialect_named(ctl->dialect,
                                       &run->rewrite.dialect); /* the command line takes no other */
    run->rewrite.client = ctl_client(ctl);
    return run->rewrite.client != NULL && find_key(run, ctl, ctl->key, &run->only) &&
           (ctl->all || find_key(run, ctl, ctl->to, &run->to));
}

/* The report is printed; what is left to say is whether all went well. */
static bool judge(struct ctl *ctl, const struct run *run)
{
    const ctl_outcome *outcome = &run->outcome;
    const size_t failures = json_array_size(outcome->failures);
    if (!keep_on() || outcome->stop.code != 0) {
        ctl->error = outcome->stop;
        if (!keep_on()) {
            ctl->error.code = 1; /* CANCELLED */
            snprintf(ctl->error.reason, sizeof ctl->error.reason, "CANCELLED");
            snprintf(ctl->error.message, sizeof ctl->error.message,
                     "stopped by a signal; what is done is done");
        }
        return false;
    }
    if (failures == 0) return true;
    ctl->error = outcome->first;
    snprintf(ctl->error.message, sizeof ctl->error.message,
             "%zu failure%s, listed above; those files are as they were", failures, failures == 1 ? "" : "s");
    return false;
}

bool ctl_reencrypt(struct ctl *ctl)
{
    __attribute__((cleanup(run_free))) struct run run = {.ctl = ctl};
    if (!read_options(ctl, &run)) return false;
    const struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    kms_err err = take_all(&run);
    const bool with_changes = ctl->dry_run || ctl_wants_json(ctl);
    bool printed = ctl_print(ctl, ctl_outcome_describe(&run.outcome, ctl->dry_run, with_changes));
    if (kms_failed(err)) return ctl_fail(ctl, err, NULL);
    return printed && judge(ctl, &run);
}
