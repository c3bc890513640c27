/* One page at a time is held. */
#include "client/kmsctl/records_remote.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/progress.h"
#include "client/kmsctl/records.h"

enum { PAGE_RECORDS = 1000 }; /* the most that the server gives at once */

struct ctl_remote {
    struct ctl *ctl;
    const struct kms_audit_filter *filter;
    json_t *page;  /* the newest answer; NULL: none yet */
    size_t next;   /* of its records */
    uint64_t last; /* of the log to begin with; 0: all */
    bool from_beginning;
    uint64_t damaged, most_left; /* bytes; for the progress bar */
    struct ctl_progress progress;
};

struct ctl_remote *ctl_remote_open(struct ctl *ctl, const struct kms_audit_filter *filter)
{
    struct ctl_remote *remote = calloc(1, sizeof *remote);
    if (remote == NULL) {
        ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
        return NULL;
    }
    remote->ctl = ctl;
    remote->filter = filter;
    ctl_progress_start(&remote->progress, NULL);
    return remote;
}

void ctl_remote_restart(struct ctl_remote *remote, uint64_t last)
{
    json_decref(remote->page);
    remote->page = NULL;
    remote->next = 0;
    remote->last = last;
    remote->damaged = 0;
}

static json_t *filter_json(const struct kms_audit_filter *filter)
{
    static const char *const names[] = {
#define KMS_AUDIT_TERM(symbol, name, star) [KMS_AUDIT_BY_##symbol] = (name),
#include "kmsd/audit/filter.def"
#undef KMS_AUDIT_TERM
    };
    json_t *json = json_object();
    if (filter->since_us != 0)
        json_object_set_new(json, "since_time_us", json_integer((json_int_t)filter->since_us));
    if (filter->until_us != 0)
        json_object_set_new(json, "until_time_us", json_integer((json_int_t)filter->until_us));
    for (size_t i = 0; i < KMS_AUDIT_TERM_COUNT; i++)
        if (filter->terms[i] != NULL) json_object_set_new(json, names[i], json_string(filter->terms[i]));
    return json;
}

static uint64_t number_of(const json_t *page, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(page, name));
    return number > 0 ? (uint64_t)number : 0;
}

static bool fetch(struct ctl_remote *remote)
{
    const uint32_t limit = remote->ctl->limit;
    const char *marker = json_string_value(json_object_get(remote->page, "next_marker"));
    bool first = remote->page == NULL;
    json_t *page,
        *request = json_pack("{s:o, s:i, s:s, s:I}", "filter", filter_json(remote->filter), "limit",
                             limit != 0 && limit < PAGE_RECORDS ? (int)limit : PAGE_RECORDS, "marker",
                             marker != NULL ? marker : "", "last", (json_int_t)remote->last);
    if (!ctl_call(remote->ctl, "AuditService/ListAuditRecords", request, &page)) return false;
    json_decref(remote->page);
    remote->page = page;
    remote->next = 0;
    remote->damaged += number_of(page, "damaged_lines");
    if (first) remote->from_beginning = json_is_true(json_object_get(page, "from_beginning"));
    uint64_t left = number_of(page, "bytes_left");
    if (left > remote->most_left) remote->most_left = left;
    ctl_progress_show(&remote->progress, remote->most_left - left, remote->most_left);
    return true;
}

static const json_t *next_record(struct ctl_remote *remote)
{
    return json_array_get(json_object_get(remote->page, "records"), remote->next);
}

static bool page_is_over(struct ctl_remote *remote)
{
    return remote->page == NULL || next_record(remote) == NULL;
}

bool ctl_remote_next(struct ctl_remote *remote, struct kms_bytes *ret_line, bool *ret_more)
{
    bool ok = true, asked = false, more = true;
    while (ok && more && page_is_over(remote) && !ctl_stopped()) {
        /* at the end of the log it is asked once, and then again with the next call */
        more = !asked || json_is_true(json_object_get(remote->page, "truncated"));
        if (more) ok = fetch(remote);
        asked = true;
    }
    ctl_progress_clear(&remote->progress);
    const json_t *record = ok ? next_record(remote) : NULL;
    *ret_more = record != NULL;
    if (record == NULL) return ok;
    *ret_line = kms_bytes_of(json_string_value(record), json_string_length(record));
    remote->next++;
    return true;
}

bool ctl_remote_all(const struct ctl_remote *remote)
{
    return remote->from_beginning;
}

uint64_t ctl_remote_damaged(const struct ctl_remote *remote)
{
    return remote->damaged;
}

void ctl_remote_close(struct ctl_remote *remote)
{
    if (remote == NULL) return;
    json_decref(remote->page);
    free(remote);
}
