/* Pages. */
#include "kmsd/service/page.h"

#include "kmsd/service/core.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

kms_err kms_page_begin(struct kms_call *call, uint32_t limit, struct kms_page *ret_page)
{
    if (limit > LIMIT_MOST)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "limit: 1 to %d", LIMIT_MOST);
    *ret_page = (struct kms_page){.call = call, .limit = limit == 0 ? LIMIT_DEFAULT : limit};
    ret_page->items = kms_call_alloc(call, ret_page->limit * sizeof *ret_page->items);
    return ret_page->items != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* Any error ends a scan: the flags tell these two from real ones. */
kms_err kms_page_full(struct kms_page *page)
{
    page->more = true;
    return kms_page_end(page);
}

kms_err kms_page_end(struct kms_page *page)
{
    page->ended = true;
    return KMS_FAIL(LIMIT_EXCEEDED);
}

kms_err kms_page_scan(struct kms_page *page, enum kms_table table, const char *marker, kms_row_visit *visit)
{
    kms_err err = kms_keystore_scan(page->call->core->store, table, marker, visit, page, &page->call->why);
    return page->ended ? KMS_OK : err;
}
