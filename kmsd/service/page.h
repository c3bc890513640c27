/* Lists that come page by page, straight from the keystore, which keeps its rows sorted. */
#ifndef KMS_SERVICE_PAGE_H
#define KMS_SERVICE_PAGE_H

#include "kmsd/service/call.h"

struct kms_page {
    struct kms_call *call;
    const void *only; /* the method's own: what alone is wanted */
    void **items;     /* messages, in the arena */
    size_t count, limit;
    bool more, ended;
};

/* limit as the request has it; INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_page_begin(struct kms_call *call, uint32_t limit, struct kms_page *ret_page);
/* For a visit of rows: ends the scan, since the page is full, or since what follows is not wanted. */
KMS_MUST_USE kms_err kms_page_full(struct kms_page *page);
KMS_MUST_USE kms_err kms_page_end(struct kms_page *page);
/* Visits the rows of a table behind the marker with the page as user. */
KMS_MUST_USE kms_err kms_page_scan(struct kms_page *page, enum kms_table table, const char *marker,
                                   kms_row_visit *visit);

#endif
