/*
 * ListAuditRecords: the log read back, a bounded stretch of it in each call. Where a page ended is named by
 * its marker, INSTANCE.FILE.OFFSET.SEQUENCE.FROM, which is checked against the log before it is believed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kms/v1/audit.pb-c.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/reader.h"
#include "kmsd/service/access.h"
#include "kmsd/service/core.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/page.h"
#include "kmsd/service/seal.h"

enum { CHECK_EVERY = 256 /* records; then the deadline is looked at */ };

/* The request's texts as a filter; empty is any. */
static struct kms_audit_filter filter_of(const Kms__V1__AuditFilter *asked)
{
    struct kms_audit_filter filter = {0};
    if (asked == NULL) return filter;
    filter.since_us = asked->since_time_us;
    filter.until_us = asked->until_time_us;
    filter.terms[KMS_AUDIT_BY_PRINCIPAL] = asked->principal;
    filter.terms[KMS_AUDIT_BY_KEY] = asked->key;
    filter.terms[KMS_AUDIT_BY_OPERATION] = asked->operation;
    filter.terms[KMS_AUDIT_BY_ACTION] = asked->action;
    filter.terms[KMS_AUDIT_BY_OUTCOME] = asked->outcome;
    filter.terms[KMS_AUDIT_BY_KIND] = asked->kind;
    filter.terms[KMS_AUDIT_BY_REQUEST_ID] = asked->request_id;
    filter.terms[KMS_AUDIT_BY_CORRELATION_ID] = asked->correlation_id;
    for (size_t i = 0; i < KMS_AUDIT_TERM_COUNT; i++)
        if (filter.terms[i] != NULL && filter.terms[i][0] == '\0') filter.terms[i] = NULL;
    return filter;
}

/* Digits up to `end`; false: something else. */
static bool take_number(const char **at, char end, uint64_t *ret_number)
{
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 19 || (*at)[digits] != end) return false;
    *ret_number = strtoull(*at, NULL, 10);
    *at += digits + (end != '\0');
    return true;
}

/* Where a page begins, and the first record that is wanted. */
struct start {
    struct kms_audit_place place;
    uint64_t from; /* sequence; records before it are passed over */
};

static bool marker_read(const char *marker, const char *instance, struct start *ret_start)
{
    size_t len = strlen(instance);
    uint64_t number;
    if (strncmp(marker, instance, len) != 0 || marker[len] != '.') return false;
    const char *at = marker + len + 1;
    if (!take_number(&at, '.', &number) || number > UINT32_MAX) return false;
    ret_start->place.number = (uint32_t)number;
    return take_number(&at, '.', &ret_start->place.offset) &&
           take_number(&at, '.', &ret_start->place.sequence) && take_number(&at, '\0', &ret_start->from);
}

static char *marker_text(struct kms_call *call, const struct start *start)
{
    const struct kms_audit_place *place = &start->place;
    return kms_arena_print(&call->arena, "%s.%" PRIu32 ".%" PRIu64 ".%" PRIu64 ".%" PRIu64,
                           call->core->instance, place->number, place->offset, place->sequence, start->from);
}

kms_err kms_list_audit_records_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_LIST_AUDIT_RECORDS);
}

/* Who looks at the log stands in the log, with what was looked for. */
static void say_filter(struct kms_call *call, const struct kms_audit_filter *filter)
{
    kms_call_say(call, "of_principal", filter->terms[KMS_AUDIT_BY_PRINCIPAL]);
    kms_call_say(call, "of_key", filter->terms[KMS_AUDIT_BY_KEY]);
    kms_call_say(call, "of_operation", filter->terms[KMS_AUDIT_BY_OPERATION]);
    kms_call_say(call, "of_action", filter->terms[KMS_AUDIT_BY_ACTION]);
    kms_call_say(call, "of_outcome", filter->terms[KMS_AUDIT_BY_OUTCOME]);
}

/* What only the person at the console would see is told as what it is for a caller. */
static kms_err told(kms_err err)
{
    return kms_is(err, KMS_E_IO) ? KMS_FAIL(AUDIT_UNAVAILABLE) : err;
}

/* The last `last` records begin with this sequence; 0: all of them are wanted. */
static uint64_t first_of_last(const struct kms_core *core, uint64_t last)
{
    uint64_t sequence;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    if (last == 0) return 0;
    kms_audit_head(core->audit, &sequence, hash);
    return sequence > last ? sequence - last + 1 : 0;
}

static kms_err open_reader(struct kms_call *call, struct start *start, kms_audit_reader **ret_reader)
{
    const Kms__V1__ListAuditRecordsRequest *request = (const void *)call->request;
    const struct kms_core *core = call->core;
    KMS_OWN(kms_audit_reader) reader = NULL;
    *start = (struct start){.from = first_of_last(core, request->last)};
    if (request->marker[0] != '\0' && !marker_read(request->marker, core->instance, start))
        return kms_call_fail(call, KMS_FAIL(INVALID_MARKER), "not a marker of the audit log of %s",
                             core->instance);
    KMS_TRY(
        told(kms_audit_reader_open_at(core->audit_dir, core->instance, &start->place, &reader, &call->why)));
    if (start->place.number == 0 && start->from > 0)
        KMS_TRY(told(kms_audit_reader_near(reader, start->from, &call->why)));
    *ret_reader = KMS_GIVE(reader);
    return KMS_OK;
}

/* A page while it is filled. */
struct filling {
    struct kms_page page;
    const kms_audit_query *query;
    kms_audit_reader *reader;
    struct start next;
    uint64_t scanned, bytes, damaged;
    bool full;
};

/* False: the record begins the next page. */
static bool take_line(struct filling *f, struct kms_bytes line)
{
    const struct kms_core *core = f->page.call->core;
    bool first = f->page.count == 0;
    if (!first && f->bytes + line.len > core->audit_page_bytes) return false;
    char *text = kms_call_alloc(f->page.call, line.len + 1);
    if (text == NULL) return false;
    kms_copy(text, line.ptr, line.len);
    text[line.len] = '\0';
    f->page.items[f->page.count++] = text;
    f->bytes += line.len;
    return true;
}

static kms_err look_at(struct filling *f, const struct kms_audit_line *line)
{
    struct start behind = {.from = f->next.from};
    kms_audit_reader_place(f->reader, &behind.place);
    f->scanned += line->text.len + 1;
    bool wanted = behind.place.sequence == 0 || behind.place.sequence > f->next.from;
    enum kms_audit_match match = wanted ? kms_audit_query_match(f->query, line->text) : KMS_AUDIT_OTHER;
    f->damaged += match == KMS_AUDIT_NO_RECORD;
    if (match == KMS_AUDIT_MATCH && !take_line(f, line->text)) {
        f->full = true;
        return f->page.count > 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
    }
    f->next = behind;
    f->full = f->page.count == f->page.limit || f->scanned >= f->page.call->core->audit_scan_bytes;
    return KMS_OK;
}

static kms_err fill(struct filling *f)
{
    struct kms_call *call = f->page.call;
    bool more = true;
    for (uint64_t n = 1; more && !f->full; n++) {
        struct kms_audit_line line;
        KMS_TRY(told(kms_audit_reader_next(f->reader, &line, &more, &call->why)));
        if (more) KMS_TRY(look_at(f, &line));
        if (n % CHECK_EVERY == 0 && call->deadline_us != 0 && call->deadline_us <= kms_monotonic_us())
            return KMS_FAIL(DEADLINE_EXCEEDED);
    }
    if (!more) kms_audit_reader_place(f->reader, &f->next.place);
    return KMS_OK;
}

static kms_err answer(struct filling *f, bool from_beginning)
{
    struct kms_call *call = f->page.call;
    Kms__V1__ListAuditRecordsResponse *reply = kms_new_reply(call);
    uint64_t done, total;
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    kms_audit_reader_progress(f->reader, &done, &total);
    reply->records = (char **)f->page.items;
    reply->n_records = f->page.count;
    reply->truncated = f->full;
    reply->damaged_lines = f->damaged;
    reply->bytes_left = total > done ? total - done : 0;
    reply->from_beginning = from_beginning;
    reply->next_marker = marker_text(call, &f->next);
    return reply->next_marker != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_list_audit_records_act(struct kms_call *call)
{
    const Kms__V1__ListAuditRecordsRequest *request = (const void *)call->request;
    const struct kms_audit_filter filter = filter_of(request->filter);
    KMS_OWN(kms_audit_query) query = NULL;
    KMS_OWN(kms_audit_reader) reader = NULL;
    struct filling f = {0};
    say_filter(call, &filter);
    KMS_TRY(kms_audit_query_new(&filter, &query, &call->why));
    KMS_TRY(kms_page_begin(call, request->limit, &f.page));
    KMS_TRY(open_reader(call, &f.next, &reader));
    kms_audit_reader_between(reader, kms_audit_query_since(query), kms_audit_query_until(query));
    f.query = query;
    f.reader = reader;
    bool from_beginning = f.next.place.number == 0 && f.next.from == 0;
    KMS_TRY(fill(&f));
    return answer(&f, from_beginning);
}
