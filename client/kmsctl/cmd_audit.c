/* kmsctl audit head and key ask the server; where the others find the files of the log. */
#include <jansson.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

const char *ctl_audit_dir(struct ctl *ctl)
{
    if (ctl->dir != NULL) return ctl->dir;
    if (!ctl_read_context(ctl)) return NULL;
    if (ctl->context != NULL && ctl->context->audit_dir[0] != '\0') return ctl->context->audit_dir;
    ctl_fail_usage(ctl, "where is the audit log? --dir DIR, or audit_dir in the context");
    return NULL;
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
