/* The loop over pages. */
#include "client/kmsctl/pages.h"

#include "client/kmsctl/output.h"

enum { PAGE_ROWS = 1000 }; /* the most that the server gives at once */

bool ctl_next_page(struct ctl *ctl, const char *next, kms_buf *marker)
{
    kms_buf_free(marker);
    kms_err err = next[0] != '\0' ? kms_buf_print(marker, "%s", next) : KMS_OK;
    return kms_failed(err) ? ctl_fail(ctl, err, NULL) : true;
}

json_t *ctl_page_request(const struct kms_list_request *page)
{
    return json_pack("{s:i, s:s}", "limit", (int)page->limit, "marker",
                     page->marker != NULL ? page->marker : "");
}

bool ctl_page_after(struct ctl *ctl, const json_t *reply, kms_buf *marker)
{
    bool more = json_is_true(json_object_get(reply, "truncated"));
    const char *next = json_string_value(json_object_get(reply, "next_marker"));
    return ctl_next_page(ctl, more && next != NULL ? next : "", marker);
}

static bool add_all(struct ctl *ctl, ctl_page *page, json_t *rows)
{
    kms_client *client = ctl_client(ctl);
    KMS_OWN_BUF marker = {0};
    size_t wanted = ctl->limit != 0 ? ctl->limit : SIZE_MAX;
    if (client == NULL) return false;
    do {
        size_t left = wanted - json_array_size(rows);
        struct kms_list_request request = {.key_id = ctl->key,
                                           .limit = left < PAGE_ROWS ? (uint32_t)left : PAGE_ROWS,
                                           .marker = marker.len > 0 ? (const char *)marker.data : NULL};
        if (!page(ctl, client, &request, rows, &marker)) return false;
    } while (marker.len > 0 && json_array_size(rows) < wanted);
    return true;
}

bool ctl_print_pages(struct ctl *ctl, ctl_page *page)
{
    json_t *rows = json_array();
    if (add_all(ctl, page, rows)) return ctl_print(ctl, rows);
    json_decref(rows);
    return false;
}
