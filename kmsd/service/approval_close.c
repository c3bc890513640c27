/* The end of approvals that nobody ends: by time, and by changed keys. Each end is on record. */
#include "kmsd/service/approval.h"

static bool over(const struct kms_core *core, const kms_stored_approval *stored)
{
    return stored->state != KMS_APPROVAL_PENDING &&
           kms_core_now_us(core) >= stored->closed_us + core->approvals_lifetime_us;
}

bool kms_approval_due(const struct kms_core *core, const kms_stored_approval *stored)
{
    return over(core, stored) || kms_approval_now(core, stored) != (enum kms_approval_state)stored->state;
}

kms_err kms_close_approval(struct kms_call *call)
{
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    KMS_OWN_CHANGES changes = {.count = 0};
    char id[KMS_ID_TEXT];
    kms_copy(id, call->approval.id, sizeof id);
    KMS_TRY(kms_approval_read(call, id, &approval));
    if (over(call->core, approval.stored)) {
        kms_approval_note(call, &approval, "forgotten");
        KMS_TRY(kms_change_remove(&changes, KMS_TABLE_APPROVAL, id, approval.revision));
        return kms_change_commit(&changes, call);
    }
    kms_stored_approval closed = *approval.stored;
    kms_buf *body;
    closed.state = kms_approval_now(call->core, approval.stored);
    if (closed.state == approval.stored->state)
        return kms_call_fail(call, KMS_FAIL(CONFLICT), "approval %s is what it was", id);
    closed.closed_us = kms_core_now_us(call->core);
    kms_approval_note(call, &approval, closed.state == KMS_APPROVAL_EXPIRED ? "expired" : "outdated");
    KMS_TRY(kms_change_row(&changes, KMS_TABLE_APPROVAL, id, &approval.revision, &body));
    KMS_TRY(kms_approval_body(&closed, body));
    return kms_change_commit(&changes, call);
}
