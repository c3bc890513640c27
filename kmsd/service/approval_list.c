/* ListApprovals: the requests of one key, straight from the keystore, by id. */
#include <string.h>

#include "kmsd/service/access.h"
#include "kmsd/service/approval_reply.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

struct page {
    struct kms_call *call;
    const struct kms_key *key;
    Kms__V1__Approval **items;
    size_t count, limit;
    bool more;
};

static bool concerns(const kms_stored_approval *stored, const struct kms_id *id)
{
    for (size_t i = 0; i < stored->n_keys; i++)
        if (memcmp(stored->keys[i]->key_id.data, id->bytes, KMS_ID_BYTES) == 0) return true;
    return false;
}

static kms_err visit(void *user, const struct kms_row *row)
{
    struct page *page = user;
    KMS_OWN_APPROVAL approval = {.stored = NULL};
    KMS_TRY(kms_approval_from_row(row, &approval, &page->call->why));
    if (!concerns(approval.stored, &page->key->id)) return KMS_OK;
    if (page->count == page->limit) {
        page->more = true;
        return KMS_FAIL(LIMIT_EXCEEDED); /* any error ends a scan: the page is full */
    }
    page->items[page->count] = kms_approval_reply(page->call, &approval, false);
    return page->items[page->count++] != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_list_approvals_gather(struct kms_call *call)
{
    const Kms__V1__ListApprovalsRequest *request = (const void *)call->request;
    struct kms_access *access;
    struct kms_id id;
    KMS_TRY(kms_access_named(call, KMS_ACT_LIST_APPROVALS, request->key_id, &access));
    bool no_id = request->marker[0] != '\0' && !kms_id_parse(kms_bytes_text(request->marker), &id);
    return no_id ? KMS_FAIL(INVALID_MARKER) : KMS_OK;
}

kms_err kms_list_approvals_act(struct kms_call *call)
{
    const Kms__V1__ListApprovalsRequest *request = (const void *)call->request;
    Kms__V1__ListApprovalsResponse *reply = kms_new_reply(call);
    struct page page = {.call = call,
                        .key = call->access[0].key,
                        .limit = request->limit == 0 ? LIMIT_DEFAULT : request->limit};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    if (request->limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    page.items = kms_call_alloc(call, page.limit * sizeof(void *));
    if (page.items == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err =
        kms_keystore_scan(call->core->store, KMS_TABLE_APPROVAL, request->marker, visit, &page, &call->why);
    if (!page.more) KMS_TRY(err);
    reply->approvals = page.items;
    reply->n_approvals = page.count;
    reply->truncated = page.more;
    if (page.more) reply->next_marker = page.items[page.count - 1]->approval_id;
    return KMS_OK;
}
