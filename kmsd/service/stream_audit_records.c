/* StreamAuditRecords: pages of the log in one call, to its end or on and on. */
#include <stdlib.h>

#include "base/clock.h"
#include "kmsd/service/access.h"
#include "kmsd/service/audit_page.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"
#include "kmsd/service/stream.h"

struct own {
    struct kms_audit_source source;
    uint64_t head; /* of the log before it was looked at last */
    uint64_t records;
    bool at_end; /* the client knows that it has what there was */
    bool done;   /* and nothing that comes is asked for */
};

static const Kms__V1__StreamAuditRecordsRequest *request_of(const struct kms_call *call)
{
    return (const void *)call->request;
}

kms_err kms_stream_audit_records_gather(struct kms_call *call)
{
    kms_audit_source_say(call, request_of(call)->filter);
    if (request_of(call)->follow) kms_call_say(call, "follow", "true");
    return kms_access_service(call, KMS_ACT_LIST_AUDIT_RECORDS);
}

kms_err kms_stream_audit_records_act(struct kms_call *call)
{
    const Kms__V1__StreamAuditRecordsRequest *request = request_of(call);
    const struct kms_audit_question question = {request->filter, request->marker, request->last};
    struct own *own = calloc(1, sizeof *own);
    if (own == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_audit_source_open(call, &question, &own->source);
    if (kms_failed(err))
        free(own);
    else
        kms_stream_set_own(call, own);
    return err;
}

static uint64_t head_of(const struct kms_call *call)
{
    uint64_t sequence;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    kms_audit_head(call->core->audit, &sequence, hash);
    return sequence;
}

/* What is written from now on is not asked for. */
static bool is_over(const struct kms_call *call)
{
    const Kms__V1__StreamAuditRecordsRequest *request = request_of(call);
    uint64_t until_us = request->filter != NULL ? request->filter->until_time_us : 0;
    return !request->follow || (until_us != 0 && until_us <= kms_now_us());
}

static kms_err answer(struct kms_call *call, const struct kms_audit_page *page)
{
    Kms__V1__StreamAuditRecordsResponse *reply = kms_new_reply(call);
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

kms_err kms_stream_audit_records_page(struct kms_call *call, enum kms_stream_step *ret_step)
{
    struct own *own = kms_stream_own(call);
    struct kms_audit_page page;
    *ret_step = KMS_STREAM_END;
    if (own->done) return KMS_OK;
    bool over = is_over(call);
    own->head = head_of(call);
    KMS_TRY(kms_audit_source_page(call, &own->source, request_of(call)->limit, &page));
    bool news = page.count > 0 || page.damaged > 0 || page.missing > 0 || page.truncated || !own->at_end;
    own->done = over && !page.truncated;
    *ret_step = news ? KMS_STREAM_PAGE : own->done ? KMS_STREAM_END : KMS_STREAM_WAIT;
    if (!news) return KMS_OK;
    own->at_end = !page.truncated;
    own->records += page.count;
    return answer(call, &page);
}

bool kms_stream_audit_records_due(const struct kms_call *call)
{
    const struct own *own = kms_stream_own(call);
    return head_of(call) != own->head || is_over(call);
}

void kms_stream_audit_records_close(struct kms_call *call)
{
    struct own *own = kms_stream_own(call);
    uint64_t records = own != NULL ? own->records : 0;
    if (own != NULL) kms_audit_source_close(&own->source);
    free(own);
    kms_call_say(call, "records", kms_arena_print(&call->arena, "%llu", (unsigned long long)records));
}
