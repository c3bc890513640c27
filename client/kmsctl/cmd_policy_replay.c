/* kmsctl policy replay: the decisions of the audit log made again under another policy. */
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/policy_changes.h"
#include "client/kmsctl/policy_document.h"
#include "client/kmsctl/progress.h"
#include "kmsd/audit/reader.h"

enum { SHOW_EVERY = 1024 /* records */ };

/* Which decisions count: those that a document of this kind was asked for. */
struct choice {
    enum kms_policy_kind kind;
    char key_id[64];    /* "": of every key */
    const char *secret; /* NULL: of every secret */
    uint64_t since_us, until_us;
};

/* An id, an ARN that ends in one, or a name that the server knows. */
static bool find_key(struct ctl *ctl, char key_id[64])
{
    const char *slash = strrchr(ctl->key, '/'), *id = slash != NULL ? slash + 1 : ctl->key;
    struct kms_id parsed;
    json_t *reply, *request;
    if (kms_id_parse(kms_bytes_text(id), &parsed)) {
        kms_id_text(&parsed, key_id);
        return true;
    }
    request = json_pack("{s:s}", "key_id", ctl->key);
    if (!ctl_call(ctl, "KeyService/DescribeKey", request, &reply)) return false;
    id = json_string_value(json_object_get(json_object_get(reply, "key_metadata"), "key_id"));
    snprintf(key_id, 64, "%s", id != NULL ? id : "");
    json_decref(reply);
    return true;
}

static bool read_choice(struct ctl *ctl, enum kms_policy_kind kind, struct choice *choice)
{
    *choice = (struct choice){.kind = kind, .secret = ctl->secret, .until_us = UINT64_MAX};
    if (ctl->key != NULL && kind != KMS_POLICY_KEY)
        return ctl_fail_usage(ctl, "--key goes with a key policy; this is %s", kms_policy_kind_text(kind));
    if (ctl->secret != NULL && kind != KMS_POLICY_SECRET)
        return ctl_fail_usage(ctl, "--secret goes with the policy of a secret; this is %s",
                              kms_policy_kind_text(kind));
    if (ctl->since != NULL && !ctl_past(ctl->since, &choice->since_us))
        return ctl_fail_usage(ctl, "--since wants a time such as 2026-11-22T12:00:00Z or 12h, not %s",
                              ctl->since);
    if (ctl->until != NULL && !ctl_past(ctl->until, &choice->until_us))
        return ctl_fail_usage(ctl, "--until wants a time such as 2026-11-22T12:00:00Z or 12h, not %s",
                              ctl->until);
    return ctl->key == NULL || find_key(ctl, choice->key_id);
}

/* "shop/db", or an ARN, of arn:aws:secretsmanager:REGION:ACCOUNT:secret:shop/db-AbCdEf. */
static bool is_secret(const char *arn, const char *wanted)
{
    const size_t suffix = sizeof "-AbCdEf" - 1;
    if (strncmp(wanted, "arn:", 4) == 0) return strcmp(arn, wanted) == 0;
    const char *name = strstr(arn, ":secret:");
    if (name == NULL) return false;
    name += sizeof ":secret:" - 1;
    size_t len = strlen(wanted);
    return strncmp(name, wanted, len) == 0 && strlen(name) == len + suffix && name[len] == '-';
}

static bool counts(const struct choice *choice, const struct kms_replayed *past)
{
    if (choice->kind == KMS_POLICY_SERVICE) return past->service;
    if (choice->kind == KMS_POLICY_SECRET)
        return past->secret != NULL && (choice->secret == NULL || is_secret(past->secret, choice->secret));
    if (past->key_id == NULL) return false; /* no policy was asked: there was no such key */
    return choice->key_id[0] == '\0' || strcmp(choice->key_id, past->key_id) == 0;
}

static kms_err add_record(const kms_policy *policy, const struct choice *choice,
                          const struct kms_replay *replay, struct ctl_changes *changes)
{
    bool counted = false;
    if (replay->started_us < choice->since_us || replay->started_us >= choice->until_us) return KMS_OK;
    for (size_t i = 0; i < replay->count; i++) {
        const struct kms_replayed *past = &replay->accesses[i];
        if (!counts(choice, past)) continue;
        struct kms_decision now = kms_policy_decide(policy, &past->request);
        KMS_TRY(ctl_changes_add(changes, replay, past, &now));
        counted = true;
    }
    changes->records += counted;
    changes->shortened += counted && replay->shortened;
    return KMS_OK;
}

static kms_err read_log(kms_audit_reader *reader, const kms_policy *policy, const struct choice *choice,
                        struct ctl_changes *changes, struct kms_why *why)
{
    KMS_OWN_REPLAY replay = {.count = 0};
    struct ctl_progress progress;
    ctl_progress_start(&progress, NULL);
    bool more = true;
    kms_err err = KMS_OK;
    for (uint64_t n = 0; more && !kms_failed(err); n++) {
        struct kms_audit_line line;
        struct kms_why what = {""};
        uint64_t done, total;
        err = kms_audit_reader_next(reader, &line, &more, why);
        if (kms_failed(err) || !more) break;
        err = kms_replay_read(&replay, line.text, &what);
        if (kms_failed(err))
            kms_why_set(why, "%s:%llu: %s", line.file, (unsigned long long)line.line_number, what.text);
        else
            err = add_record(policy, choice, &replay, changes);
        if (n % SHOW_EVERY != 0) continue;
        kms_audit_reader_progress(reader, &done, &total);
        ctl_progress_show(&progress, done, total);
    }
    ctl_progress_clear(&progress);
    return err;
}

static bool read_document(struct ctl *ctl, kms_policy **ret_policy)
{
    KMS_OWN_BUF text = {0};
    struct kms_why why = {0};
    if (ctl->service && ctl->kind != NULL && strcmp(ctl->kind, "service") != 0)
        return ctl_fail_usage(ctl, "--service is --kind service, not --kind %s", ctl->kind);
    kms_err err = ctl_read_text(ctl->arguments[0], CTL_POLICY_BYTES, &text, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    struct kms_bytes document = kms_buf_view(&text);
    enum kms_policy_kind kind = ctl->service ? KMS_POLICY_SERVICE : ctl_policy_kind(ctl, document);
    if (kind == KMS_POLICY_DATABASE_ROLE)
        return ctl_fail_usage(ctl, "records do not say which policy of a database role was asked");
    err = kms_policy_parse(kind, document, ret_policy, &why);
    return kms_failed(err) ? ctl_fail(ctl, err, &why) : true;
}

bool ctl_policy_replay(struct ctl *ctl)
{
    KMS_OWN(kms_policy) policy = NULL;
    KMS_OWN(kms_audit_reader) reader = NULL;
    struct choice choice;
    struct ctl_changes changes;
    struct kms_why why = {0};
    ctl->answers = true;
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL || !read_document(ctl, &policy)) return false;
    if (!read_choice(ctl, kms_policy_kind_of(policy), &choice)) return false;
    kms_err err = kms_audit_reader_open(dir, ctl->instance, &reader, &why);
    if (!kms_failed(err)) err = ctl_changes_begin(&changes);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    err = read_log(reader, policy, &choice, &changes, &why);
    json_t *report = ctl_changes_end(&changes);
    if (kms_failed(err)) {
        json_decref(report);
        return ctl_fail(ctl, err, &why);
    }
    ctl->answer = changes.changed == 0 ? CTL_OK : CTL_FAILED;
    return ctl_print(ctl, report);
}
