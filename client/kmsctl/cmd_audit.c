/* kmsctl audit: verify reads the files of the log and needs no server; head and key ask it. */
#include <jansson.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/progress.h"
#include "kmsd/audit/reader.h"

const char *ctl_audit_dir(struct ctl *ctl)
{
    if (ctl->dir != NULL) return ctl->dir;
    if (!ctl_read_context(ctl)) return NULL;
    if (ctl->context != NULL && ctl->context->audit_dir[0] != '\0') return ctl->context->audit_dir;
    ctl_fail_usage(ctl, "where is the audit log? --dir DIR, or audit_dir in the context");
    return NULL;
}

static void show(void *user, uint64_t bytes_done, uint64_t bytes_total)
{
    ctl_progress_show(user, bytes_done, bytes_total);
}

bool ctl_audit_verify(struct ctl *ctl)
{
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL) return false;
    struct ctl_progress progress;
    ctl_progress_start(&progress, NULL);
    struct kms_audit_report report;
    struct kms_why why = {0};
    kms_err err = kms_audit_verify(dir, ctl->instance, ctl->head, &(struct kms_audit_watch){show, &progress},
                                   &report, &why);
    ctl_progress_clear(&progress);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    return ctl_print(ctl,
                     json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "intact", 1, "records",
                               (json_int_t)report.records, "files", (json_int_t)report.files, "bytes",
                               (json_int_t)report.bytes, "first_sequence", (json_int_t)report.first_sequence,
                               "last_sequence", (json_int_t)report.last_sequence, "head", report.head,
                               "torn_tail", (int)report.torn_tail));
}

bool ctl_audit_head(struct ctl *ctl)
{
    return ctl_call_print(ctl, "AuditService/GetAuditHead", json_object());
}

bool ctl_audit_key(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, "AuditService/GetAuditKey", json_object(), &reply)) return false;
    if (ctl_wants_json(ctl)) return ctl_print(ctl, reply);
    const char *pem = json_string_value(json_object_get(reply, "public_key_pem"));
    bool ok = pem != NULL ? ctl_write(ctl, kms_bytes_text(pem)) : ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    json_decref(reply);
    return ok;
}
