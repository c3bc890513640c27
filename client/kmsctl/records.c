/* From the files of the log. */
#include "client/kmsctl/records.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/input.h"
#include "client/kmsctl/progress.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/reader.h"

enum { SHOW_EVERY = 1024 /* records */, TAIL_GROWTH = 16 };

struct ctl_records {
    struct ctl *ctl;
    kms_audit_query *query;
    kms_audit_reader *reader;
    struct ctl_progress progress;
    uint64_t seen, damaged;
    struct kms_why first_damaged; /* where */
};

static bool read_time(struct ctl *ctl, const char *option, const char *text, uint64_t *ret_us)
{
    if (text == NULL || (ctl_past(text, ret_us) && *ret_us != 0)) return true;
    return ctl_fail_usage(ctl, "--%s wants a time such as 2026-11-22T12:00:00Z, 2026-11-22 or 12h, not %s",
                          option, text);
}

static bool make_query(struct ctl *ctl, kms_audit_query **ret_query)
{
    struct kms_audit_filter filter = {.terms = {[KMS_AUDIT_BY_PRINCIPAL] = ctl->principal,
                                                [KMS_AUDIT_BY_KEY] = ctl->key,
                                                [KMS_AUDIT_BY_OPERATION] = ctl->operation,
                                                [KMS_AUDIT_BY_ACTION] = ctl->action,
                                                [KMS_AUDIT_BY_OUTCOME] = ctl->outcome,
                                                [KMS_AUDIT_BY_KIND] = ctl->kind,
                                                [KMS_AUDIT_BY_REQUEST_ID] = ctl->request_id,
                                                [KMS_AUDIT_BY_CORRELATION_ID] = ctl->correlated}};
    struct kms_why why = {0};
    if (!read_time(ctl, "since", ctl->since, &filter.since_us) ||
        !read_time(ctl, "until", ctl->until, &filter.until_us))
        return false;
    kms_err err = kms_audit_query_new(&filter, ret_query, &why);
    if (!kms_failed(err)) return true;
    return kms_is(err, KMS_E_INVALID_ARGUMENT) ? ctl_fail_usage(ctl, "%s", why.text)
                                               : ctl_fail(ctl, err, &why);
}

static bool open_files(struct ctl_records *records)
{
    struct ctl *ctl = records->ctl;
    struct kms_why why = {0};
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL) return false;
    kms_err err = kms_audit_reader_open(dir, ctl->instance, &records->reader, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    kms_audit_reader_between(records->reader, kms_audit_query_since(records->query),
                             kms_audit_query_until(records->query));
    return true;
}

struct ctl_records *ctl_records_open(struct ctl *ctl)
{
    struct ctl_records *records = calloc(1, sizeof *records);
    if (records == NULL) {
        ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
        return NULL;
    }
    records->ctl = ctl;
    ctl_progress_start(&records->progress, NULL);
    if (make_query(ctl, &records->query) && open_files(records)) return records;
    ctl_records_close(records);
    return NULL;
}

static void show_progress(struct ctl_records *records)
{
    uint64_t done, total;
    if (records->seen++ % SHOW_EVERY != 0) return;
    kms_audit_reader_progress(records->reader, &done, &total);
    ctl_progress_show(&records->progress, done, total);
}

static enum kms_audit_match match(struct ctl_records *records, const struct kms_audit_line *line)
{
    enum kms_audit_match found = kms_audit_query_match(records->query, line->text);
    if (found == KMS_AUDIT_NO_RECORD && records->damaged++ == 0)
        kms_why_set(&records->first_damaged, "%s:%llu", line->file, (unsigned long long)line->line_number);
    return found;
}

bool ctl_records_next(struct ctl_records *records, struct kms_bytes *ret_line, bool *ret_more)
{
    struct kms_why why = {0};
    struct kms_audit_line line;
    kms_err err = KMS_OK;
    bool more = true, found = false;
    while (more && !found && !ctl_stopped()) {
        err = kms_audit_reader_next(records->reader, &line, &more, &why);
        if (kms_failed(err)) break;
        if (!more) continue;
        show_progress(records);
        found = match(records, &line) == KMS_AUDIT_MATCH;
    }
    ctl_progress_clear(&records->progress);
    if (kms_failed(err)) return ctl_fail(records->ctl, err, &why);
    if (found) *ret_line = line.text;
    *ret_more = found;
    return true;
}

/* How many of the last `lines` records match, at most; *ret_all: the log has no more than those. */
static bool count_last(struct ctl_records *records, size_t lines, uint64_t *ret_matches, bool *ret_all)
{
    struct kms_bytes line;
    struct kms_why why = {0};
    bool more = true;
    kms_err err = kms_audit_reader_tail(records->reader, lines, &why);
    if (kms_failed(err)) return ctl_fail(records->ctl, err, &why);
    uint64_t before = records->seen;
    for (*ret_matches = 0; more; *ret_matches += more)
        if (!ctl_records_next(records, &line, &more)) return false;
    *ret_all = records->seen - before < lines;
    return true;
}

/* Looks back further and further until there are enough. */
bool ctl_records_last(struct ctl_records *records, uint32_t count)
{
    struct kms_bytes line;
    struct kms_why why = {0};
    uint64_t matches = 0;
    bool all = false, more;
    size_t lines = count;
    kms_audit_reader_between(records->reader, "", "");
    if (!count_last(records, lines, &matches, &all)) return false;
    while (matches < count && !all && !ctl_stopped())
        if (!count_last(records, lines *= TAIL_GROWTH, &matches, &all)) return false;
    records->damaged = 0; /* counted again now */
    kms_err err = kms_audit_reader_tail(records->reader, lines, &why);
    if (kms_failed(err)) return ctl_fail(records->ctl, err, &why);
    for (; matches > count; matches--)
        if (!ctl_records_next(records, &line, &more)) return false;
    return true;
}

bool ctl_records_end(struct ctl_records *records)
{
    if (records->damaged == 0) return true;
    struct kms_why why;
    kms_why_set(&why,
                "%s: changed: not a record; %llu such lines are left out; `kmsctl audit verify` tells more",
                records->first_damaged.text, (unsigned long long)records->damaged);
    return ctl_fail(records->ctl, KMS_FAIL(CORRUPT), &why);
}

void ctl_records_close(struct ctl_records *records)
{
    if (records == NULL) return;
    kms_audit_reader_close(records->reader);
    kms_audit_query_free(records->query);
    free(records);
}

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

void ctl_catch_stop(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool ctl_stopped(void)
{
    return stopped != 0;
}
