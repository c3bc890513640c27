/* Lists that come page by page, printed as one. Not thread-safe: one run. */
#ifndef KMS_CLIENT_KMSCTL_PAGES_H
#define KMS_CLIENT_KMSCTL_PAGES_H

#include <jansson.h>

#include "client/kmsctl/ctl.h"

/* Asks for one page and adds its rows; marker becomes that of the next page (ctl_next_page). False:
 * ctl->error. */
typedef bool ctl_page(struct ctl *ctl, kms_client *client, const struct kms_list_request *request,
                      json_t *rows, kms_buf *marker);
/* limit and marker of a page, as every list has them; a new reference. */
json_t *ctl_page_request(const struct kms_list_request *page);
/* Prints all pages, or the first --limit rows. */
bool ctl_print_pages(struct ctl *ctl, ctl_page *page);
/* next "": this was the last page. */
bool ctl_next_page(struct ctl *ctl, const char *next, kms_buf *marker);
/* The same by a reply with "truncated" and "next_marker". */
bool ctl_page_after(struct ctl *ctl, const json_t *reply, kms_buf *marker);

#endif
