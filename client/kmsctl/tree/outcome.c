/* Rows of the report. */
#include "client/kmsctl/tree/outcome.h"

#include <stdio.h>
#include <string.h>

#include "client/kmsctl/output.h"

static const char *const skip_names[] = {
    [CTL_SKIP_LINK] = "symbolic links",
    [CTL_SKIP_SPECIAL] = "sockets, pipes, devices",
    [CTL_SKIP_REPOSITORY] = "folders of version control",
    [CTL_SKIP_BINARY] = "binary files",
    [CTL_SKIP_LARGE] = "larger than --max-bytes",
};

kms_err ctl_outcome_init(ctl_outcome *outcome)
{
    *outcome = (ctl_outcome){.changes = json_array(), .failures = json_array(), .others = json_array()};
    bool made = outcome->changes != NULL && outcome->failures != NULL && outcome->others != NULL;
    return made ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

void ctl_outcome_free(ctl_outcome *outcome)
{
    json_decref(outcome->changes);
    json_decref(outcome->failures);
    json_decref(outcome->others);
    *outcome = (ctl_outcome){0};
}

void ctl_outcome_change(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                        const char *to_key, uint32_t to_version)
{
    char from_key[KMS_ID_TEXT];
    kms_id_text(&value->header.key_id, from_key);
    json_array_append_new(outcome->changes,
                          json_pack("{s:o, s:I, s:o, s:s, s:I, s:o, s:o}", "file", ctl_json_text(path),
                                    "line", (json_int_t)value->line, "name", ctl_json_text(value->name),
                                    "key_id", from_key, "version", (json_int_t)value->header.key_version,
                                    "new_key", ctl_json_text(to_key), "new_version",
                                    to_version != 0 ? json_integer((json_int_t)to_version) : json_null()));
}

void ctl_outcome_fail(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                      const struct kms_error *error)
{
    if (json_array_size(outcome->failures) == 0) outcome->first = *error;
    json_array_append_new(outcome->failures,
                          json_pack("{s:o, s:o, s:o, s:s, s:o}", "file", ctl_json_text(path), "line",
                                    value != NULL ? json_integer((json_int_t)value->line) : json_null(),
                                    "name", ctl_json_text(value != NULL ? value->name : ""), "reason",
                                    error->reason, "message", ctl_json_text(error->message)));
}

void ctl_outcome_fail_local(ctl_outcome *outcome, const char *path, const struct ctl_value *value,
                            kms_err err, const char *words)
{
    struct kms_error error = {.code = kms_err_grpc_status(err)};
    snprintf(error.reason, sizeof error.reason, "%s", kms_err_reason(err));
    snprintf(error.message, sizeof error.message, "%s", words[0] != '\0' ? words : kms_err_text(err));
    ctl_outcome_fail(outcome, path, value, &error);
}

void ctl_outcome_other(ctl_outcome *outcome, const char *path, unsigned line, const char *why)
{
    json_array_append_new(outcome->others,
                          json_pack("{s:o, s:o, s:s}", "file", ctl_json_text(path), "line",
                                    line != 0 ? json_integer((json_int_t)line) : json_null(), "why", why));
}

static json_t *describe_skipped(const ctl_outcome *outcome)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < CTL_SKIP_COUNT; i++)
        if (outcome->skipped[i] > 0)
            json_array_append_new(rows, json_pack("{s:s, s:I}", "why", skip_names[i], "count",
                                                  (json_int_t)outcome->skipped[i]));
    return rows;
}

json_t *ctl_outcome_describe(const ctl_outcome *outcome, bool dry_run, bool with_changes)
{
    json_t *value =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O, s:O}", "dry_run", (int)dry_run, "files",
                  (json_int_t)outcome->files, "changed_files", (json_int_t)outcome->changed_files, "values",
                  (json_int_t)outcome->values, "selected", (json_int_t)outcome->selected, "re_encrypted",
                  (json_int_t)outcome->re_encrypted, "failed", (json_int_t)json_array_size(outcome->failures),
                  "leftovers_removed", (json_int_t)outcome->leftovers, "skipped", describe_skipped(outcome),
                  "failures", outcome->failures, "left_alone", outcome->others);
    if (value == NULL || !with_changes) return value;
    if (json_object_set(value, "changes", outcome->changes) == 0) return value;
    json_decref(value);
    return NULL;
}
