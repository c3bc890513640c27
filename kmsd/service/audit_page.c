/* The log read back, a bounded stretch at a time. */
#include "kmsd/service/audit_page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kmsd/service/core.h"
#include "kmsd/service/page.h"

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
    filter.terms[KMS_AUDIT_BY_PROTOCOL] = asked->protocol;
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

static bool marker_read(const char *marker, const char *instance, struct kms_audit_start *ret_start)
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

static char *marker_text(struct kms_call *call, const struct kms_audit_start *start)
{
    const struct kms_audit_place *place = &start->place;
    return kms_arena_print(&call->arena, "%s.%" PRIu32 ".%" PRIu64 ".%" PRIu64 ".%" PRIu64,
                           call->core->instance, place->number, place->offset, place->sequence, start->from);
}

void kms_audit_source_say(struct kms_call *call, const Kms__V1__AuditFilter *asked)
{
    const struct kms_audit_filter filter = filter_of(asked);
    kms_call_say(call, "of_principal", filter.terms[KMS_AUDIT_BY_PRINCIPAL]);
    kms_call_say(call, "of_key", filter.terms[KMS_AUDIT_BY_KEY]);
    kms_call_say(call, "of_operation", filter.terms[KMS_AUDIT_BY_OPERATION]);
    kms_call_say(call, "of_action", filter.terms[KMS_AUDIT_BY_ACTION]);
    kms_call_say(call, "of_outcome", filter.terms[KMS_AUDIT_BY_OUTCOME]);
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

static kms_err open_reader(struct kms_call *call, const struct kms_audit_question *question,
                           struct kms_audit_source *source)
{
    const struct kms_core *core = call->core;
    struct kms_audit_start *start = &source->next;
    *start = (struct kms_audit_start){.from = first_of_last(core, question->last)};
    if (question->marker[0] != '\0' && !marker_read(question->marker, core->instance, start))
        return kms_call_fail(call, KMS_FAIL(INVALID_MARKER), "not a marker of the audit log of %s",
                             core->instance);
    KMS_TRY(told(kms_audit_reader_open_at(core->audit_dir, core->instance, &start->place, &source->reader,
                                          &call->why)));
    if (start->place.number == 0 && start->from > 0)
        KMS_TRY(told(kms_audit_reader_near(source->reader, start->from, &call->why)));
    source->from_beginning = start->place.number == 0 && start->from == 0;
    return KMS_OK;
}

kms_err kms_audit_source_open(struct kms_call *call, const struct kms_audit_question *question,
                              struct kms_audit_source *ret_source)
{
    const struct kms_audit_filter filter = filter_of(question->filter);
    struct kms_audit_source source = {0};
    kms_err err = kms_audit_query_new(&filter, &source.query, &call->why);
    if (!kms_failed(err)) err = open_reader(call, question, &source);
    if (kms_failed(err)) {
        kms_audit_source_close(&source);
        return err;
    }
    kms_audit_reader_between(source.reader, kms_audit_query_since(source.query),
                             kms_audit_query_until(source.query));
    *ret_source = source;
    return KMS_OK;
}

void kms_audit_source_close(struct kms_audit_source *source)
{
    kms_audit_reader_drop(&source->reader);
    kms_audit_query_drop(&source->query);
}

/* A page while it is filled. */
struct filling {
    struct kms_page page;
    struct kms_audit_source *source;
    uint64_t scanned, bytes, damaged, missing;
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

static kms_err look_at(struct filling *f, struct kms_bytes line)
{
    struct kms_audit_source *source = f->source;
    struct kms_audit_start behind = {.from = source->next.from};
    kms_audit_reader_place(source->reader, &behind.place);
    f->scanned += line.len + 1;
    bool wanted = behind.place.sequence == 0 || behind.place.sequence > behind.from;
    enum kms_audit_match match = wanted ? kms_audit_query_match(source->query, line) : KMS_AUDIT_OTHER;
    f->damaged += match == KMS_AUDIT_NO_RECORD;
    if (match == KMS_AUDIT_MATCH && !take_line(f, line)) {
        f->full = true;
        source->pending = line;
        return f->page.count > 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
    }
    source->next = behind;
    f->full = f->page.count == f->page.limit || f->scanned >= f->page.call->core->audit_scan_bytes;
    return KMS_OK;
}

static kms_err next_line(struct filling *f, struct kms_bytes *ret_line, bool *ret_more)
{
    struct kms_audit_source *source = f->source;
    struct kms_audit_line line = {.text = source->pending};
    *ret_more = true;
    if (source->pending.ptr == NULL)
        KMS_TRY(told(kms_audit_reader_next(source->reader, &line, ret_more, &f->page.call->why)));
    source->pending = (struct kms_bytes){0};
    *ret_line = line.text;
    return KMS_OK;
}

static void count_missing(struct filling *f)
{
    struct kms_audit_gap gap;
    if (kms_audit_reader_gap(f->source->reader, &gap)) f->missing += gap.last - gap.first + 1;
}

static kms_err fill(struct filling *f)
{
    struct kms_call *call = f->page.call;
    bool more = true;
    for (uint64_t n = 1; more && !f->full; n++) {
        struct kms_bytes line;
        KMS_TRY(next_line(f, &line, &more));
        if (more) count_missing(f);
        if (more) KMS_TRY(look_at(f, line));
        if (n % CHECK_EVERY == 0 && call->deadline_us != 0 && call->deadline_us <= kms_monotonic_us())
            return KMS_FAIL(DEADLINE_EXCEEDED);
    }
    if (!more) kms_audit_reader_place(f->source->reader, &f->source->next.place);
    return KMS_OK;
}

kms_err kms_audit_source_page(struct kms_call *call, struct kms_audit_source *source, uint32_t limit,
                              struct kms_audit_page *ret_page)
{
    struct filling f = {.source = source};
    uint64_t done, total;
    KMS_TRY(kms_page_begin(call, limit, &f.page));
    KMS_TRY(fill(&f));
    kms_audit_reader_progress(source->reader, &done, &total);
    *ret_page = (struct kms_audit_page){.records = (char **)f.page.items,
                                        .count = f.page.count,
                                        .truncated = f.full,
                                        .from_beginning = source->from_beginning,
                                        .damaged = f.damaged,
                                        .missing = f.missing,
                                        .bytes_left = total > done ? total - done : 0,
                                        .next_marker = marker_text(call, &source->next)};
    source->from_beginning = false;
    return ret_page->next_marker != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
