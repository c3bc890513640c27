/* From the files of the log, or from the server. */
#include "client/kmsctl/records.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/input.h"
#include "client/kmsctl/progress.h"
#include "client/kmsctl/records_remote.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/reader.h"

enum { SHOW_EVERY = 1024 /* records */, TAIL_GROWTH = 16 };

struct ctl_records {
    struct ctl *ctl;
    struct kms_audit_filter filter;
    kms_audit_query *query;
    kms_audit_reader *reader; /* NULL: */
    struct ctl_remote *remote;
    struct ctl_progress progress;
    uint64_t seen, damaged;
    struct kept {
        kms_buf *lines; /* the last ones that matched, in a ring */
        size_t room, count, first;
    } kept;
    bool giving_kept;             /* ctl_records_last has found them: they come first */
    struct kms_why first_damaged; /* where */
};

static bool read_time(struct ctl *ctl, const char *option, const char *text, uint64_t *ret_us)
{
    if (text == NULL || (ctl_past(text, ret_us) && *ret_us != 0)) return true;
    return ctl_fail_usage(ctl, "--%s wants a time such as 2026-11-22T12:00:00Z, 2026-11-22 or 12h, not %s",
                          option, text);
}

/* Checked here also when the server does the looking: the mistake is the command line's. */
static bool make_query(struct ctl *ctl, struct kms_audit_filter *filter, kms_audit_query **ret_query)
{
    *filter = (struct kms_audit_filter){.terms = {[KMS_AUDIT_BY_PRINCIPAL] = ctl->principal,
                                                  [KMS_AUDIT_BY_KEY] = ctl->key,
                                                  [KMS_AUDIT_BY_OPERATION] = ctl->operation,
                                                  [KMS_AUDIT_BY_ACTION] = ctl->action,
                                                  [KMS_AUDIT_BY_OUTCOME] = ctl->outcome,
                                                  [KMS_AUDIT_BY_KIND] = ctl->kind,
                                                  [KMS_AUDIT_BY_REQUEST_ID] = ctl->request_id,
                                                  [KMS_AUDIT_BY_CORRELATION_ID] = ctl->correlated,
                                                  [KMS_AUDIT_BY_PROTOCOL] = ctl->protocol}};
    struct kms_why why = {0};
    if (!read_time(ctl, "since", ctl->since, &filter->since_us) ||
        !read_time(ctl, "until", ctl->until, &filter->until_us))
        return false;
    kms_err err = kms_audit_query_new(filter, ret_query, &why);
    if (!kms_failed(err)) return true;
    return kms_is(err, KMS_E_INVALID_ARGUMENT) ? ctl_fail_usage(ctl, "%s", why.text)
                                               : ctl_fail(ctl, err, &why);
}

/* Files, where a folder is known; else the server that the context or --endpoint names. False: ctl->error. */
static bool is_remote(struct ctl *ctl, bool *ret_remote)
{
    *ret_remote = ctl->remote;
    if (ctl->remote && (ctl->dir != NULL || ctl->instance != NULL))
        return ctl_fail_usage(ctl, "--remote asks the server: leave --dir and --instance out");
    if (ctl->remote || ctl->dir != NULL) return true;
    if (!ctl_read_context(ctl)) return false;
    bool has_dir = ctl->context != NULL && ctl->context->audit_dir[0] != '\0';
    *ret_remote = !has_dir && ctl->instance == NULL && (ctl->context != NULL || ctl->endpoint != NULL);
    return true;
}

static bool open_files(struct ctl_records *records)
{
    struct ctl *ctl = records->ctl;
    struct kms_why why = {0};
    const char *dir = ctl_audit_dir(ctl);
    if (dir == NULL) return false;
    kms_err err = kms_audit_reader_open(dir, ctl->instance, &records->reader, &why);
    if (kms_is(err, KMS_E_IO) && strstr(why.text, strerror(EACCES)) != NULL) {
        struct kms_why cause = why;
        kms_why_set(&why, "%.300s: run this as the user of kmsd, or ask the server: --remote", cause.text);
    }
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
    bool remote = false, ok = make_query(ctl, &records->filter, &records->query) && is_remote(ctl, &remote);
    if (ok && remote) records->remote = ctl_remote_open(ctl, &records->filter);
    ctl_progress_start(&records->progress, NULL);
    if (ok && (remote ? records->remote != NULL : open_files(records))) return records;
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

static bool give_kept(struct ctl_records *records, struct kms_bytes *ret_line)
{
    struct kept *kept = &records->kept;
    if (kept->count == 0) return false;
    *ret_line = kms_buf_view(&kept->lines[kept->first]);
    kept->first = (kept->first + 1) % kept->room;
    kept->count--;
    return true;
}

/* Retention may take files that nobody has read yet: a reader is not waited for, but told. */
static void tell_gap(struct ctl_records *records)
{
    struct kms_audit_gap gap;
    if (!kms_audit_reader_gap(records->reader, &gap)) return;
    ctl_progress_clear(&records->progress);
    fprintf(stderr, "kmsctl: records %llu to %llu are not in the log: they were dropped, or taken out\n",
            (unsigned long long)gap.first, (unsigned long long)gap.last);
}

bool ctl_records_next(struct ctl_records *records, struct kms_bytes *ret_line, bool *ret_more)
{
    struct kms_why why = {0};
    struct kms_audit_line line;
    kms_err err = KMS_OK;
    bool more = true, found = false;
    if (records->giving_kept && give_kept(records, ret_line)) {
        *ret_more = true;
        return true;
    }
    if (records->remote != NULL) return ctl_remote_next(records->remote, ret_line, ret_more);
    while (more && !found && !ctl_stopped()) {
        err = kms_audit_reader_next(records->reader, &line, &more, &why);
        if (kms_failed(err)) break;
        if (!more) continue;
        tell_gap(records);
        show_progress(records);
        found = match(records, &line) == KMS_AUDIT_MATCH;
    }
    ctl_progress_clear(&records->progress);
    if (kms_failed(err)) return ctl_fail(records->ctl, err, &why);
    if (found) *ret_line = line.text;
    *ret_more = found;
    return true;
}

/* Begin again so many records before the end. */
static bool restart(struct ctl_records *records, size_t lines)
{
    struct kms_why why = {0};
    if (records->remote != NULL) {
        ctl_remote_restart(records->remote, lines);
        return true;
    }
    records->damaged = 0;
    kms_err err = kms_audit_reader_tail(records->reader, lines, &why);
    return !kms_failed(err) || ctl_fail(records->ctl, err, &why);
}

/* Room for one more line, up to most; beyond, the oldest makes room. NULL: memory ran out. */
static kms_buf *keep_one(struct kept *kept, size_t most)
{
    if (kept->count == most) {
        kms_buf *oldest = &kept->lines[kept->first];
        kept->first = (kept->first + 1) % most;
        kms_buf_free(oldest);
        return oldest;
    }
    if (kept->count == kept->room) {
        size_t room = kept->room == 0 ? 16 : 2 * kept->room;
        if (room > most) room = most;
        kms_buf *lines = realloc(kept->lines, room * sizeof *lines);
        if (lines == NULL) return NULL;
        memset(lines + kept->room, 0, (room - kept->room) * sizeof *lines);
        kept->lines = lines;
        kept->room = room;
    }
    return &kept->lines[kept->count++];
}

static void drop_kept(struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++) kms_buf_free(&kept->lines[i]);
    kept->count = kept->first = 0;
}

/* Keeps those of the last `lines` records that match, `most` at most; *ret_all: the log has no more than
 * those. */
static bool keep_last(struct ctl_records *records, size_t lines, size_t most, bool *ret_all)
{
    bool more = true;
    drop_kept(&records->kept);
    if (!restart(records, lines)) return false;
    for (uint64_t before = records->seen; more; *ret_all = records->seen - before < lines) {
        struct kms_bytes line;
        if (!ctl_records_next(records, &line, &more)) return false;
        if (!more) continue;
        kms_buf *to = keep_one(&records->kept, most);
        if (to == NULL || kms_failed(kms_buf_append(to, line.ptr, line.len)))
            return ctl_fail(records->ctl, KMS_FAIL(NO_MEMORY), NULL);
    }
    if (records->remote != NULL) *ret_all = ctl_remote_all(records->remote);
    return true;
}

/* Looks back further and further until there are enough. They are kept, since the log grows meanwhile, by
 * what is asked of a server, too. */
bool ctl_records_last(struct ctl_records *records, uint32_t count)
{
    bool all = false;
    size_t lines = count;
    if (records->reader != NULL) kms_audit_reader_between(records->reader, "", "");
    if (!keep_last(records, lines, count, &all)) return false;
    while (records->kept.count < count && !all && !ctl_stopped())
        if (!keep_last(records, lines *= TAIL_GROWTH, count, &all)) return false;
    records->giving_kept = true;
    return true;
}

bool ctl_records_end(struct ctl_records *records)
{
    if (records->remote != NULL) {
        records->damaged = ctl_remote_damaged(records->remote);
        kms_why_set(&records->first_damaged, "the log there");
    }
    if (records->damaged == 0) return true;
    struct kms_why why;
    kms_why_set(&why,
                "%s: changed: not a record; %llu such lines are left out; `kmsctl audit verify` tells more",
                records->first_damaged.text, (unsigned long long)records->damaged);
    return ctl_fail(records->ctl, KMS_FAIL(CORRUPT), &why);
}

bool ctl_records_remote(const struct ctl_records *records)
{
    return records->remote != NULL;
}

void ctl_records_close(struct ctl_records *records)
{
    if (records == NULL) return;
    kms_audit_reader_close(records->reader);
    ctl_remote_close(records->remote);
    for (size_t i = 0; i < records->kept.room; i++) kms_buf_free(&records->kept.lines[i]);
    free(records->kept.lines);
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
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* under nohup it goes on */
        sigaction(SIGHUP, &action, NULL);
}

bool ctl_stopped(void)
{
    return stopped != 0;
}
