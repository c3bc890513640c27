/* Walks the files that count. Before it leaves a file for the next, it reads the rest that came meanwhile. */
#include "kmsd/audit/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/audit/segment.h"

struct kms_audit_reader {
    int dir_fd;
    char instance[KMS_AUDIT_INSTANCE_BYTES + 1];
    struct kms_audit_segments segments;
    size_t next; /* index of the file after the current one, if it is known yet */
    struct kms_audit_scan scan;
    uint32_t number; /* of the current file; 0: none */
    char name[KMS_AUDIT_NAME_BYTES];
    uint64_t sequence; /* of the next record; 0: not known */
    struct kms_audit_gap gap;
    bool done;              /* with the current file: what follows in it is too late (between) */
    uint64_t stop_sequence; /* the next file begins with it: from there on the current one does not count; 0:
                               not known */
    char since[KMS_TIME_TEXT], until[KMS_TIME_TEXT]; /* "": open */
};

static kms_err choose_instance(kms_audit_reader *reader, const char *instance, struct kms_why *why)
{
    if (instance == NULL) return kms_audit_only_instance(reader->dir_fd, reader->instance, why);
    if (!kms_audit_instance_valid(instance)) {
        kms_why_set(why, "an instance is 1 to 32 of a-z, 0-9 and -");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    snprintf(reader->instance, sizeof reader->instance, "%s", instance);
    return KMS_OK;
}

static kms_err new_reader(const char *dir, const char *instance, uint32_t first_number,
                          kms_audit_reader **ret_reader, struct kms_why *why)
{
    KMS_OWN(kms_audit_reader) reader = calloc(1, sizeof *reader);
    if (reader == NULL) return KMS_FAIL(NO_MEMORY);
    reader->dir_fd = reader->scan.fd = -1;
    KMS_TRY(kms_audit_open_dir(dir, &reader->dir_fd, why));
    KMS_TRY(choose_instance(reader, instance, why));
    KMS_TRY(kms_audit_scan_new(&reader->scan));
    KMS_TRY(kms_audit_segments_read(reader->dir_fd, reader->instance, first_number, &reader->segments, why));
    *ret_reader = KMS_GIVE(reader);
    return KMS_OK;
}

kms_err kms_audit_reader_open(const char *dir, const char *instance, kms_audit_reader **ret_reader,
                              struct kms_why *why)
{
    return new_reader(dir, instance, 1, ret_reader, why);
}

/* What stands on disk now, from the current file on. */
static kms_err look_again(kms_audit_reader *reader, struct kms_why *why)
{
    struct kms_audit_segments now;
    uint32_t from = reader->number > 0 ? reader->number : 1;
    KMS_TRY(kms_audit_segments_read(reader->dir_fd, reader->instance, from, &now, why));
    kms_audit_segments_free(&reader->segments);
    reader->segments = now;
    reader->next = 0;
    while (reader->next < now.count && now.list[reader->next].number <= reader->number) reader->next++;
    return KMS_OK;
}

static void set_stop(kms_audit_reader *reader)
{
    reader->stop_sequence = 0;
    if (reader->next == reader->segments.count) return;
    const struct kms_audit_segment *next = &reader->segments.list[reader->next];
    reader->stop_sequence = next->readable ? next->first_sequence : UINT64_MAX;
}

/* Within a process the clock of the log does not run back, from one process to the next it may: so a file
 * tells how late the one before it ends only if the same process went on. */
static bool ends_before(const struct kms_audit_segment *next, const char *since)
{
    bool same_process = next->opening.because == KMS_AUDIT_FULL || next->opening.because == KMS_AUDIT_FAILED;
    return next->readable && same_process && strcmp(next->first_time, since) < 0;
}

/* The first file from index on that may hold something of the range; the last one always may. */
static size_t first_wanted(const kms_audit_reader *reader, size_t index)
{
    const struct kms_audit_segments *segments = &reader->segments;
    for (; index + 1 < segments->count; index++) {
        const struct kms_audit_segment *here = &segments->list[index];
        bool late =
            reader->until[0] != '\0' && here->readable && strcmp(here->first_time, reader->until) >= 0;
        bool early = reader->since[0] != '\0' && ends_before(here + 1, reader->since);
        if (!late && !early) break;
    }
    return index;
}

/* Retention may have taken files since they were listed: the next one that is there, then. */
static kms_err open_file(kms_audit_reader *reader, size_t index, struct kms_why *why)
{
    char name[KMS_AUDIT_NAME_BYTES];
    kms_err err;
    size_t wanted = first_wanted(reader, index);
    if (wanted != index) reader->sequence = 0; /* what stands between is not asked for */
    for (index = wanted;; index++) {
        kms_audit_segment_name(reader->instance, reader->segments.list[index].number, name);
        err = kms_audit_scan_file(&reader->scan, reader->dir_fd, name, why);
        if (!kms_is(err, KMS_E_IO) || index + 1 == reader->segments.count ||
            !kms_audit_gone(reader->dir_fd, name))
            break;
    }
    KMS_TRY(err);
    reader->number = reader->segments.list[index].number;
    kms_copy(reader->name, name, sizeof name);
    reader->next = index + 1;
    reader->done = false;
    set_stop(reader);
    return KMS_OK;
}

kms_err kms_audit_reader_look(kms_audit_reader *reader, struct kms_why *why)
{
    KMS_TRY(look_again(reader, why));
    set_stop(reader);
    return KMS_OK;
}

static uint64_t sequence_of(struct kms_bytes line)
{
    struct kms_audit_record record;
    return kms_audit_scan_record(line, &record) ? record.sequence : 0;
}

/* A line that no writer wrote counts: whoever asks is to see it. */
static bool look_at(kms_audit_reader *reader, struct kms_bytes line)
{
    struct kms_audit_record record;
    bool good = kms_audit_scan_record(line, &record);
    if (reader->stop_sequence != 0 && good && record.sequence >= reader->stop_sequence) return false;
    reader->done =
        reader->until[0] != '\0' && good && memcmp(record.time, reader->until, KMS_TIME_TEXT - 1) >= 0;
    if (good && reader->sequence != 0 && record.sequence > reader->sequence)
        reader->gap = (struct kms_audit_gap){reader->sequence, record.sequence - 1};
    reader->sequence = good ? record.sequence + 1 : 0;
    return !reader->done;
}

/* The next line of the current file that counts; LINE, or END. */
static kms_err next_here(kms_audit_reader *reader, struct kms_bytes *ret_line, enum kms_audit_step *ret_step,
                         struct kms_why *why)
{
    struct kms_bytes line = {0};
    enum kms_audit_step step;
    *ret_step = KMS_AUDIT_END;
    if (reader->done) return KMS_OK;
    kms_err err = kms_audit_scan_next(&reader->scan, &line, &step);
    if (kms_failed(err)) kms_why_set(why, "%s: cannot be read", reader->name);
    KMS_TRY(err);
    if (step == KMS_AUDIT_OVERLONG) {
        kms_why_set(why, "%s:%llu: changed: longer than a record can be", reader->name,
                    (unsigned long long)reader->scan.line_number + 1);
        return KMS_FAIL(CORRUPT);
    }
    *ret_line = line;
    *ret_step = step == KMS_AUDIT_LINE && look_at(reader, line) ? KMS_AUDIT_LINE : KMS_AUDIT_END;
    return KMS_OK;
}

/* At the end of the current file: on to the next, or learn that there is one, or that there is none yet. */
static kms_err go_on(kms_audit_reader *reader, bool *ret_more, struct kms_why *why)
{
    *ret_more = true;
    if (reader->number > 0 && reader->stop_sequence != 0) return open_file(reader, reader->next, why);
    KMS_TRY(look_again(reader, why));
    *ret_more = reader->next < reader->segments.count;
    if (reader->number == 0 && *ret_more) return open_file(reader, reader->next, why);
    set_stop(reader); /* lines may have come before the next file did: read here once more */
    return KMS_OK;
}

kms_err kms_audit_reader_next(kms_audit_reader *reader, struct kms_audit_line *ret_line, bool *ret_more,
                              struct kms_why *why)
{
    for (;;) {
        struct kms_bytes line = {0};
        enum kms_audit_step step = KMS_AUDIT_END;
        bool more;
        if (reader->number > 0) KMS_TRY(next_here(reader, &line, &step, why));
        if (step == KMS_AUDIT_LINE) {
            *ret_line = (struct kms_audit_line){
                .file = reader->name, .line_number = reader->scan.line_number, .text = line};
            *ret_more = true;
            return KMS_OK;
        }
        KMS_TRY(go_on(reader, &more, why));
        if (more) continue;
        *ret_more = false;
        return KMS_OK;
    }
}

static kms_err no_such_place(struct kms_why *why)
{
    kms_why_set(why, "the audit log has no such place, or no longer");
    return KMS_FAIL(INVALID_MARKER);
}

/* The record that is to stand there does, unless none stands there yet. */
static kms_err check_place(kms_audit_reader *reader, uint64_t sequence, struct kms_why *why)
{
    struct kms_bytes line;
    enum kms_audit_step step;
    KMS_TRY(kms_audit_scan_next(&reader->scan, &line, &step));
    if (step != KMS_AUDIT_LINE) return KMS_OK;
    if (sequence != 0 && sequence_of(line) != sequence) return no_such_place(why);
    kms_audit_scan_back(&reader->scan, line);
    return KMS_OK;
}

kms_err kms_audit_reader_open_at(const char *dir, const char *instance, const struct kms_audit_place *place,
                                 kms_audit_reader **ret_reader, struct kms_why *why)
{
    KMS_OWN(kms_audit_reader) reader = NULL;
    bool there;
    KMS_TRY(new_reader(dir, instance, place->number > 0 ? place->number : 1, &reader, why));
    if (place->number > 0) {
        const struct kms_audit_segments *segments = &reader->segments;
        if (segments->count == 0 || segments->list[0].number != place->number) return no_such_place(why);
        KMS_TRY(open_file(reader, 0, why));
        KMS_TRY(kms_audit_scan_seek(&reader->scan, place->offset, &there));
        if (!there) return no_such_place(why);
        KMS_TRY(check_place(reader, place->sequence, why));
        reader->sequence = place->sequence;
    }
    *ret_reader = KMS_GIVE(reader);
    return KMS_OK;
}

bool kms_audit_reader_gap(kms_audit_reader *reader, struct kms_audit_gap *ret_gap)
{
    *ret_gap = reader->gap;
    reader->gap = (struct kms_audit_gap){0};
    return ret_gap->first != 0;
}

void kms_audit_reader_place(const kms_audit_reader *reader, struct kms_audit_place *ret_place)
{
    *ret_place = (struct kms_audit_place){.number = reader->number, .sequence = reader->sequence};
    if (reader->number > 0) ret_place->offset = kms_audit_scan_position(&reader->scan);
}

kms_err kms_audit_reader_near(kms_audit_reader *reader, uint64_t sequence, struct kms_why *why)
{
    size_t index = 0;
    reader->sequence = 0;
    if (reader->segments.count == 0) return KMS_OK;
    for (size_t i = 1; i < reader->segments.count; i++)
        if (reader->segments.list[i].readable && reader->segments.list[i].first_sequence <= sequence)
            index = i;
    return open_file(reader, index, why);
}

void kms_audit_reader_between(kms_audit_reader *reader, const char *since, const char *until)
{
    snprintf(reader->since, sizeof reader->since, "%s", since);
    snprintf(reader->until, sizeof reader->until, "%s", until);
}

void kms_audit_reader_progress(const kms_audit_reader *reader, uint64_t *ret_bytes_done,
                               uint64_t *ret_bytes_total)
{
    uint64_t done = reader->number > 0 ? kms_audit_scan_position(&reader->scan) : 0, total = 0;
    for (size_t i = 0; i < reader->segments.count; i++) {
        if (reader->segments.list[i].number < reader->number) done += reader->segments.list[i].bytes;
        total += reader->segments.list[i].bytes;
    }
    *ret_bytes_done = done;
    *ret_bytes_total = total;
}

/* Reads on to the first record numbered from or higher. */
static kms_err skip_to(kms_audit_reader *reader, uint64_t from, uint64_t *ret_last, struct kms_why *why)
{
    for (;;) {
        struct kms_audit_line line;
        bool more;
        KMS_TRY(kms_audit_reader_next(reader, &line, &more, why));
        if (!more) return KMS_OK;
        uint64_t sequence = sequence_of(line.text);
        if (sequence != 0) *ret_last = sequence;
        if (sequence < from) continue;
        kms_audit_scan_back(&reader->scan, line.text);
        return KMS_OK;
    }
}

kms_err kms_audit_reader_tail(kms_audit_reader *reader, size_t lines, struct kms_why *why)
{
    uint64_t last = 0;
    reader->number = 0;
    reader->sequence = 0;
    KMS_TRY(look_again(reader, why));
    if (reader->segments.count == 0) return KMS_OK;
    KMS_TRY(open_file(reader, reader->segments.count - 1, why));
    KMS_TRY(skip_to(reader, UINT64_MAX, &last, why));
    if (lines == 0) return KMS_OK; /* at the end */
    uint64_t from = last >= lines ? last - lines + 1 : 1;
    reader->number = 0; /* the list from the start: going on may have shortened it */
    KMS_TRY(look_again(reader, why));
    KMS_TRY(kms_audit_reader_near(reader, from, why));
    return skip_to(reader, from, &last, why);
}

void kms_audit_reader_close(kms_audit_reader *reader)
{
    if (reader == NULL) return;
    kms_audit_scan_free(&reader->scan);
    kms_audit_segments_free(&reader->segments);
    kms_fd_drop(&reader->dir_fd);
    free(reader);
}

void kms_audit_reader_drop(kms_audit_reader **reader)
{
    kms_audit_reader_close(*reader);
}
