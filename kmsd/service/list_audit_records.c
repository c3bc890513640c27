/* ListAuditRecords: one page in each call. */
#include "kmsd/service/access.h"
#include "kmsd/service/audit_page.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_list_audit_records_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_LIST_AUDIT_RECORDS);
}

static kms_err answer(struct kms_call *call, const struct kms_audit_page *page)
{
    Kms__V1__ListAuditRecordsResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->records = page->records;
    reply->n_records = page->count;
    reply->truncated = page->truncated;
    reply->next_marker = page->next_marker;
    reply->damaged_lines = page->damaged;
    reply->missing_records = page->missing;
    reply->bytes_left = page->bytes_left;
    reply->from_beginning = page->from_beginning;
    return KMS_OK;
}

kms_err kms_list_audit_records_act(struct kms_call *call)
{
    const Kms__V1__ListAuditRecordsRequest *request = (const void *)call->request;
    const struct kms_audit_question question = {request->filter, request->marker, request->last};
    struct kms_audit_source source;
    struct kms_audit_page page;
    kms_audit_source_say(call, request->filter);
    KMS_TRY(kms_audit_source_open(call, &question, &source));
    kms_err err = kms_audit_source_page(call, &source, request->limit, &page);
    if (!kms_failed(err)) err = answer(call, &page);
    kms_audit_source_close(&source);
    return err;
}
