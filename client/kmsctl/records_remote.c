/* One page at a time is held, and no more is sent than is read. */
#include "client/kmsctl/records_remote.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/kmsctl/call.h"
#include "client/kmsctl/progress.h"
#include "client/kmsctl/records.h"

enum {
    PAGE_RECORDS = 1000,    /* the most that the server gives at once */
    WAIT_MS = 200,          /* then it is looked whether to stop */
    SILENCE_MS = 30 * 1000, /* longer than any page takes */
    FAILURES = 5, /* in a row; of who follows, so many that the server may be started again meanwhile: */
    FAILURES_FOLLOWING = 30,
    PAUSE_MS = 250, /* before it is begun again; longer each time, up to so many times that: */
    PAUSES = 8,
    UNAVAILABLE = 14,
};

struct ctl_remote {
    struct ctl *ctl;
    const struct kms_audit_filter *filter;
    kms_json_stream *stream; /* NULL: begin one, where the page ended */
    json_t *page;            /* the newest one; NULL: none yet */
    size_t next;             /* of its records */
    uint64_t last;           /* of the log to begin with; 0: all */
    bool from_beginning;
    bool at_end;                 /* of what the log was */
    bool following;              /* the stream does not end there */
    unsigned waited_ms;          /* for the next page */
    unsigned failures;           /* since the last one */
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

static void close_stream(struct ctl_remote *remote)
{
    kms_json_stream_close(remote->stream);
    remote->stream = NULL;
}

void ctl_remote_restart(struct ctl_remote *remote, uint64_t last)
{
    close_stream(remote);
    json_decref(remote->page);
    remote->page = NULL;
    remote->next = 0;
    remote->at_end = remote->following = false;
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

static bool open_stream(struct ctl_remote *remote)
{
    const uint32_t limit = remote->ctl->limit;
    const char *marker = json_string_value(json_object_get(remote->page, "next_marker"));
    json_t *request = json_pack("{s:o, s:i, s:s, s:I, s:b}", "filter", filter_json(remote->filter), "limit",
                                limit != 0 && limit < PAGE_RECORDS ? (int)limit : PAGE_RECORDS, "marker",
                                marker != NULL ? marker : "", "last", (json_int_t)remote->last, "follow",
                                (int)remote->following);
    remote->waited_ms = 0;
    remote->stream = ctl_stream(remote->ctl, "AuditService/StreamAuditRecords", request);
    return remote->stream != NULL;
}

static void tell_missing(struct ctl_remote *remote, uint64_t count)
{
    if (count == 0) return;
    ctl_progress_clear(&remote->progress);
    fprintf(stderr, "kmsctl: %llu records are not in the log: they were dropped, or taken out\n",
            (unsigned long long)count);
}

static void take_page(struct ctl_remote *remote, json_t *page)
{
    bool first = remote->page == NULL;
    json_decref(remote->page);
    remote->page = page;
    remote->next = 0;
    remote->failures = 0;
    remote->waited_ms = 0;
    remote->damaged += number_of(page, "damaged_lines");
    tell_missing(remote, number_of(page, "missing_records"));
    if (first) remote->from_beginning = json_is_true(json_object_get(page, "from_beginning"));
    uint64_t left = number_of(page, "bytes_left");
    if (left > remote->most_left) remote->most_left = left;
    if (!remote->following) ctl_progress_show(&remote->progress, remote->most_left - left, remote->most_left);
}

/* A stream that the server cannot go on with is begun again where it was, unless that helps nothing. */
static bool begin_again(struct ctl_remote *remote)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    close_stream(remote);
    unsigned most = remote->following ? FAILURES_FOLLOWING : FAILURES;
    if (remote->ctl->error.code != UNAVAILABLE || ++remote->failures > most) return false;
    for (unsigned i = 0; i < remote->failures && i < PAUSES && !ctl_stopped(); i++) nanosleep(&pause, NULL);
    return true;
}

/* Waits a little for a page. */
static bool fetch(struct ctl_remote *remote)
{
    struct ctl *ctl = remote->ctl;
    char *text = NULL;
    bool ended = false;
    if (remote->stream == NULL && !open_stream(remote)) return false;
    if (!kms_json_stream_next(remote->stream, WAIT_MS, &text, &ended, &ctl->error))
        return begin_again(remote);
    json_t *page = text != NULL ? json_loads(text, 0, NULL) : NULL;
    bool damaged = text != NULL && page == NULL;
    kms_json_free(text);
    if (damaged) return ctl_fail(ctl, KMS_FAIL(INTERNAL), NULL);
    if (page != NULL) take_page(remote, page);
    if (page == NULL) remote->waited_ms += WAIT_MS;
    if (ended) close_stream(remote);
    remote->at_end = remote->at_end || ended;
    remote->following = remote->at_end && ctl->follow;
    if (remote->following || remote->waited_ms < SILENCE_MS) return true;
    return ctl_fail(ctl, KMS_FAIL(DEADLINE_EXCEEDED), NULL);
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
    bool ok = true, tried = false;
    while (ok && page_is_over(remote) && !ctl_stopped()) {
        if (remote->at_end && (tried || !remote->ctl->follow)) break;
        tried = remote->at_end;
        ok = fetch(remote);
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
    close_stream(remote);
    json_decref(remote->page);
    free(remote);
}
