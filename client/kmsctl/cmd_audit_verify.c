/* kmsctl audit verify: reads the files of the log, of one instance or of all, and needs no server. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"
#include "kmsd/audit/reader.h"

static void show(void *user, uint64_t bytes_done, uint64_t bytes_total)
{
    ctl_progress_show(user, bytes_done, bytes_total);
}

/* "FILE:LINE: KIND: words" in pieces; null when all is good. */
static json_t *fault_json(const struct kms_audit_fault *fault, const struct kms_why *why, bool intact)
{
    if (intact) return json_null();
    return json_pack("{s:s, s:I, s:s, s:s}", "file", fault->file, "line", (json_int_t)fault->line, "kind",
                     fault->kind, "words", fault->words[0] != '\0' ? fault->words : why->text);
}

static json_t *report_json(const struct kms_audit_report *r, bool anchored)
{
    json_t *report = json_pack(
        "{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:I, s:I, s:I, s:b, s:b}", "instance", r->instance,
        "intact", (int)(r->fault.file[0] == '\0'), "records", (json_int_t)r->records, "files",
        (json_int_t)r->files, "bytes", (json_int_t)r->bytes, "first_sequence", (json_int_t)r->first_sequence,
        "last_sequence", (json_int_t)r->last_sequence, "head", r->head, "torn_tail", (int)r->torn_tail,
        "signed_heads", (json_int_t)r->heads, "signed_sequence", (json_int_t)r->signed_sequence,
        "unsigned_records", (json_int_t)r->unsigned_records, "signatures_checked", (int)r->signatures_checked,
        "open_end", (int)r->open_end);
    if (anchored) json_object_set_new(report, "anchored_heads", json_integer((json_int_t)r->anchors));
    if (anchored) json_object_set_new(report, "anchored_before", json_integer((json_int_t)r->anchors_before));
    return report;
}

/* What a good report leaves open, for people; -o json has it as members. */
static void warn(const struct ctl *ctl, const struct kms_audit_report *r)
{
    if (!r->signatures_checked)
        fprintf(stderr, "kmsctl: %s: signatures were not checked: give the public key with --key\n",
                r->instance);
    if (r->torn_tail)
        fprintf(stderr, "kmsctl: %s: the log ends within a line: kmsd was killed, or records were cut off\n",
                r->instance);
    if (r->open_end)
        fprintf(
            stderr,
            "kmsctl: %s: the log was closed in good order but does not end in its signed head: the token did "
            "not sign, or records were cut off\n",
            r->instance);
    if (ctl->anchor != NULL && r->anchors == 0)
        fprintf(stderr, "kmsctl: %s: %s holds no head of this log\n", r->instance, ctl->anchor);
}

/* One instance; the report goes to the list, the first error of all into ctl. False: nothing can be said. */
static bool verify_one(struct ctl *ctl, const char *dir, const char *instance, json_t *reports)
{
    struct ctl_progress progress;
    const struct kms_audit_check check = {.dir = dir,
                                          .instance = instance,
                                          .expect_head = ctl->head,
                                          .key_file = ctl->key,
                                          .anchor_file = ctl->anchor,
                                          .archived = ctl->archived,
                                          .max_unsigned = ctl->max_unsigned,
                                          .watch = &(struct kms_audit_watch){show, &progress}};
    struct kms_audit_report report;
    struct kms_why why = {0};
    ctl_progress_start(&progress, NULL);
    kms_err err = kms_audit_verify(&check, &report, &why);
    ctl_progress_clear(&progress);
    bool corrupt = kms_is(err, KMS_E_CORRUPT);
    if (kms_failed(err) && !corrupt) return ctl_fail(ctl, err, &why);
    json_t *json = report_json(&report, ctl->anchor != NULL);
    json_object_set_new(json, "fault", fault_json(&report.fault, &why, !corrupt));
    json_array_append_new(reports, json);
    if (corrupt && ctl->error.reason[0] == '\0') ctl_fail(ctl, err, &why);
    if (!corrupt) warn(ctl, &report);
    return true;
}

/* The fault as one line of text. */
static json_t *fault_text(const json_t *fault)
{
    const char *file, *kind, *words;
    json_int_t line;
    if (json_unpack((json_t *)(uintptr_t)fault, "{s:s, s:I, s:s, s:s}", "file", &file, "line", &line, "kind",
                    &kind, "words", &words) != 0)
        return json_string("none");
    return json_sprintf("%s:%" JSON_INTEGER_FORMAT ": %s: %s", file, line, kind, words);
}

/* A log that is gone as a whole, or one that is kept on another machine: only people know. */
static bool look_for_absent(struct ctl *ctl, const struct kms_audit_instances *here, json_t *absent)
{
    struct kms_audit_instances anchored;
    struct kms_why why = {0};
    if (ctl->anchor == NULL || ctl->instance != NULL) return true;
    kms_err err = kms_audit_instances_anchored(ctl->anchor, &anchored, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    for (size_t i = 0; i < anchored.count; i++) {
        bool found = false;
        for (size_t n = 0; n < here->count; n++) found |= strcmp(here->name[n], anchored.name[i]) == 0;
        if (found) continue;
        json_array_append_new(absent, json_string(anchored.name[i]));
        fprintf(stderr, "kmsctl: %s: %s holds heads of this log, of which no file is here\n",
                anchored.name[i], ctl->anchor);
    }
    return true;
}

/* One below the other, as each has more members than a line has room for. */
static bool print_reports(struct ctl *ctl, json_t *reports, json_t *absent)
{
    size_t i;
    json_t *report;
    bool intact = true;
    json_array_foreach(reports, i, report) intact &= json_is_true(json_object_get(report, "intact"));
    if (ctl_wants_json(ctl))
        return ctl_print(ctl, json_pack("{s:b, s:O, s:O}", "intact", (int)intact, "instances", reports,
                                        "absent", absent)) &&
               intact;
    json_array_foreach(reports, i, report)
    {
        if (i > 0) fputc('\n', stdout);
        json_object_set_new(report, "fault", fault_text(json_object_get(report, "fault")));
        ctl_table(report, stdout);
    }
    return intact;
}

bool ctl_audit_verify(struct ctl *ctl)
{
    const char *dir = ctl_audit_dir(ctl);
    struct kms_audit_instances all = {.count = 1};
    struct kms_why why = {0};
    if (dir == NULL) return false;
    if (ctl->max_unsigned > 0 && ctl->key == NULL)
        return ctl_fail_usage(ctl, "--max-unsigned needs --key: else nobody knows which records are signed");
    kms_err err = ctl->instance == NULL ? kms_audit_instances_read(dir, &all, &why) : KMS_OK;
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    if (ctl->head != NULL && all.count > 1)
        return ctl_fail_usage(ctl, "--head is of one log, and here are several (%s, %s ...): add --instance",
                              all.name[0], all.name[1]);
    json_t *reports = json_array(), *absent = json_array();
    bool done = look_for_absent(ctl, &all, absent);
    for (size_t i = 0; i < all.count && done; i++)
        done = verify_one(ctl, dir, ctl->instance != NULL ? ctl->instance : all.name[i], reports);
    done = print_reports(ctl, reports, absent) && done;
    json_decref(reports);
    json_decref(absent);
    return done;
}
