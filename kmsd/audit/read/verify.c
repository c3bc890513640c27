/* Goes through the log once, in order, and names the first thing that no writer can have left. */
#include "kmsd/audit/read/verify.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/audit/twin.h"

enum { PROGRESS_RECORDS = 1 << 16 };

static void free_verify(struct kms_verify *v)
{
    kms_verify_heads_close(v);
    kms_audit_scan_free(&v->scan);
    kms_audit_segments_free(&v->segments);
    kms_digest_free(v->digest);
    kms_fd_drop(&v->dir_fd);
}

kms_err kms_verify_fault(struct kms_verify *v, uint64_t line, const char *kind, const char *words)
{
    struct kms_audit_fault *fault = &v->report.fault;
    *fault = (struct kms_audit_fault){.line = line};
    snprintf(fault->file, sizeof fault->file, "%s", v->name);
    snprintf(fault->kind, sizeof fault->kind, "%s", kind);
    snprintf(fault->words, sizeof fault->words, "%s", words);
    kms_why_set(v->why, "%s:%llu: %s: %s", v->name, (unsigned long long)line, kind, words);
    return KMS_FAIL(CORRUPT);
}

static void tell_progress(const struct kms_verify *v)
{
    if (v->check->watch != NULL)
        v->check->watch->progress(v->check->watch->user, v->bytes_before + kms_audit_scan_position(&v->scan),
                                  v->bytes_total);
}

/* Does a good record with this sequence follow in the current file? */
static kms_err look_ahead(struct kms_verify *v, uint64_t wanted, uint64_t again, bool ret_found[2])
{
    for (;;) {
        struct kms_bytes line;
        struct kms_audit_record record;
        enum kms_audit_step step;
        bool same;
        KMS_TRY(kms_audit_scan_next(&v->scan, &line, &step));
        if (step != KMS_AUDIT_LINE) return KMS_OK;
        if (!kms_audit_scan_record(line, &record) || (record.sequence != wanted && record.sequence != again))
            continue;
        KMS_TRY(kms_audit_check_record(v->digest, &record, &same));
        if (same) ret_found[record.sequence == wanted ? 0 : 1] = true;
    }
}

/* A record whose own hash is good does not follow the one before it: what happened? */
static kms_err out_of_order(struct kms_verify *v, uint64_t sequence)
{
    uint64_t line = v->scan.line_number, expected = v->head.sequence + 1;
    char words[160];
    bool found[2] = {false, false};
    if (sequence < expected) {
        snprintf(words, sizeof words, "sequence %llu stands here, but %llu is next",
                 (unsigned long long)sequence, (unsigned long long)expected);
        return kms_verify_fault(v, line, "inserted", words);
    }
    if (sequence == expected)
        return kms_verify_fault(v, line, "changed",
                                "the record before this one was made anew: its hash is not this one's prev");
    KMS_TRY(look_ahead(v, expected, sequence, found));
    snprintf(words, sizeof words, "sequence %llu stands where %llu belongs", (unsigned long long)sequence,
             (unsigned long long)expected);
    return kms_verify_fault(v, line, found[1] ? "inserted" : found[0] ? "reordered" : "removed", words);
}

/* The hash of this first record is good, but it does not tell how the log goes on, or tells of another file.
 */
static kms_err wrong_opening(struct kms_verify *v, struct kms_bytes line)
{
    struct kms_audit_opening opening;
    char words[120], name[KMS_AUDIT_NAME_BYTES];
    if (!kms_audit_opening_read(line, &opening, NULL))
        return kms_verify_fault(v, 1, "removed",
                                "a file begins with a record that tells how the log goes on; it is gone");
    kms_audit_segment_name(v->instance, opening.number, name);
    snprintf(words, sizeof words, "this is %s under another name", name);
    return kms_verify_fault(v, 1, "reordered", words);
}

/* The first record of a file ties it to the file before. */
static kms_err check_opening(struct kms_verify *v, size_t index, struct kms_bytes line,
                             const struct kms_audit_record *record)
{
    const struct kms_audit_segment *segment = &v->segments.list[index];
    if (!segment->readable) return wrong_opening(v, line);
    uint32_t before = index > 0 ? v->segments.list[index - 1].number : 0;
    if (index > 0 && segment->opening.after != before) {
        char words[120], missing[KMS_AUDIT_NAME_BYTES];
        kms_audit_segment_name(v->instance, segment->opening.after, missing);
        snprintf(words, sizeof words, "%s, which this file goes on from, is not there", missing);
        return kms_verify_fault(v, 1, "missing file", words);
    }
    if (index > 0) return KMS_OK;
    v->report.first_sequence =
        record->sequence; /* the front may be archived: the caller sees where it begins */
    v->head.sequence = record->sequence - 1;
    if (segment->opening.after != 0) memcpy(v->head.hash, record->prev, KMS_AUDIT_HASH_HEX);
    if (segment->opening.after == 0 && record->sequence != 1)
        return kms_verify_fault(v, 1, "removed", "the log begins here, but not with sequence 1");
    return KMS_OK;
}

static kms_err check_line(struct kms_verify *v, size_t index, struct kms_bytes line)
{
    struct kms_audit_record record;
    bool same, first = v->scan.line_number == 1;
    if (!kms_audit_scan_record(line, &record))
        return kms_verify_fault(v, v->scan.line_number, "changed", "not a record");
    KMS_TRY(kms_audit_check_record(v->digest, &record, &same));
    if (!same)
        return kms_verify_fault(v, v->scan.line_number, "changed", "the hash is not that of the record");
    if (first) KMS_TRY(check_opening(v, index, line, &record));
    if (record.sequence != v->head.sequence + 1 || memcmp(record.prev, v->head.hash, KMS_AUDIT_HASH_HEX) != 0)
        return out_of_order(v, record.sequence);
    if (!first && memcmp(record.time, v->time, sizeof v->time) < 0)
        return kms_verify_fault(v, v->scan.line_number, "changed",
                                "its time is before that of the record before it");
    memcpy(v->time, record.time, sizeof v->time);
    kms_audit_head_of(&record, &v->head);
    if (v->check->expect_head != NULL && memcmp(v->head.hash, v->check->expect_head, KMS_AUDIT_HASH_HEX) == 0)
        v->expect_found = true;
    kms_audit_front_note(&v->front, line, &record);
    KMS_TRY(kms_verify_heads_note(v, line, &record));
    v->report.records++;
    v->report.bytes += line.len + 1;
    if (v->report.records % PROGRESS_RECORDS == 0) tell_progress(v);
    return KMS_OK;
}

/* No more lines in this file. next: as next_of says. */
static kms_err check_end(struct kms_verify *v, bool last, const struct kms_audit_segment *next,
                         enum kms_audit_step step)
{
    enum kms_audit_tail tail;
    uint64_t bytes, line = v->scan.line_number + 1;
    char words[160];
    KMS_TRY(kms_audit_scan_tail(&v->scan, &tail, &bytes));
    bool missing = next != NULL && v->head.sequence + 1 < next->first_sequence;
    if ((last || missing) && tail == KMS_AUDIT_TAIL_DAMAGED)
        return kms_verify_fault(v, line, "changed", "NUL bytes where no commit can have left them");
    if (last) v->report.open_end = tail == KMS_AUDIT_TAIL_CLOSED && !v->ends_in_head;
    if (last) v->report.torn_tail = v->report.torn_tail || tail == KMS_AUDIT_TAIL_TORN;
    if (next == NULL) return KMS_OK;
    if (missing) {
        snprintf(words, sizeof words, "%s ends with sequence %llu, but the next file goes on with %llu",
                 step == KMS_AUDIT_TORN ? "a line is cut off here and the file" : "the file",
                 (unsigned long long)v->head.sequence, (unsigned long long)next->first_sequence);
        return kms_verify_fault(v, line, "removed", words);
    }
    bool declared = next->opening.because == KMS_AUDIT_CRASH || next->opening.because == KMS_AUDIT_FAILED;
    if (!declared && bytes > 0)
        return kms_verify_fault(v, line, "inserted",
                                "something stands behind the record that the next file goes on from");
    return KMS_OK;
}

/* The file that goes on from this one; NULL: none, or what it says of that cannot be relied on. */
static const struct kms_audit_segment *next_of(const struct kms_verify *v, size_t index)
{
    if (index + 1 == v->segments.count) return NULL;
    const struct kms_audit_segment *next = &v->segments.list[index + 1];
    return next->readable && next->opening.after == v->segments.list[index].number ? next : NULL;
}

static kms_err damaged_packing(struct kms_verify *v)
{
    return kms_verify_fault(v, v->scan.line_number + 1, "changed",
                            "the compressed file is damaged: what follows cannot be decompressed");
}

/* Where a file is there twice, the plain one counts; but somebody may read the other. */
static kms_err check_twin(struct kms_verify *v)
{
    struct kms_audit_twin twin;
    char packed[KMS_AUDIT_NAME_BYTES];
    kms_err err = kms_audit_twin_look(v->dir_fd, v->name, &twin);
    if (kms_failed(err)) kms_why_set(v->why, "%s: cannot be read", v->name);
    KMS_TRY(err);
    if (!twin.both || twin.same) return KMS_OK;
    kms_audit_packed_name(v->name, packed);
    kms_copy(v->name, packed, sizeof packed);
    return kms_verify_fault(v, twin.line, "inserted",
                            "the same file is here without .zst too, is intact, and says something else");
}

static kms_err check_file(struct kms_verify *v, size_t index)
{
    bool last = index + 1 == v->segments.count;
    const struct kms_audit_segment *next = next_of(v, index);
    kms_audit_segment_name(v->instance, v->segments.list[index].number, v->name);
    KMS_TRY(kms_audit_scan_file(&v->scan, v->dir_fd, v->name, v->why));
    for (;;) {
        struct kms_bytes line;
        enum kms_audit_step step;
        kms_err err = kms_audit_scan_next(&v->scan, &line, &step);
        if (kms_failed(err)) kms_why_set(v->why, "%s: cannot be read", v->name);
        if (kms_is(err, KMS_E_CORRUPT)) return damaged_packing(v);
        KMS_TRY(err);
        bool reached =
            next != NULL && v->scan.line_number > 1 && v->head.sequence + 1 == next->first_sequence;
        if (step == KMS_AUDIT_LINE && reached) kms_audit_scan_back(&v->scan, line);
        if (step == KMS_AUDIT_END || step == KMS_AUDIT_TORN || reached) {
            KMS_TRY(check_end(v, last, next, step));
            return v->scan.packed ? KMS_OK : check_twin(v);
        }
        if (step == KMS_AUDIT_OVERLONG)
            return kms_verify_fault(v, v->scan.line_number + 1, "changed", "longer than a record can be");
        KMS_TRY(check_line(v, index, line));
    }
}

/* What is missing in front was dropped by the service, which said so, or moved away by whoever asks. */
static kms_err check_front(struct kms_verify *v)
{
    char words[240];
    if (v->check->archived || kms_audit_front_good(&v->front)) return KMS_OK;
    kms_audit_segment_name(v->instance, v->segments.list[0].number, v->name);
    snprintf(words, sizeof words,
             "the log begins with sequence %llu, but no record in it says that what stood before was dropped",
             (unsigned long long)v->front.sequence);
    return kms_verify_fault(v, 1, "missing file", words);
}

static kms_err check_all(struct kms_verify *v)
{
    char words[240];
    for (size_t i = 0; i < v->segments.count; i++) {
        KMS_TRY(check_file(v, i));
        v->report.files++;
        v->bytes_before += v->segments.list[i].bytes;
        if (v->check->watch != NULL)
            v->check->watch->progress(v->check->watch->user, v->bytes_before, v->bytes_total);
    }
    KMS_TRY(check_front(v));
    KMS_TRY(kms_verify_heads_end(v));
    if (v->check->expect_head == NULL || v->expect_found) return KMS_OK;
    snprintf(
        words, sizeof words,
        "the expected head %.16s... is not in the log, which ends with sequence %llu: records are missing "
        "from its end, or this is the log of another instance",
        v->check->expect_head, (unsigned long long)v->head.sequence);
    return kms_verify_fault(v, v->scan.line_number, "removed", words);
}

static kms_err find_log(struct kms_verify *v, const char *dir, const char *instance)
{
    KMS_TRY(kms_audit_open_dir(dir, &v->dir_fd, v->why));
    if (instance == NULL)
        KMS_TRY(kms_audit_only_instance(v->dir_fd, v->instance, v->why));
    else
        snprintf(v->instance, sizeof v->instance, "%s", instance);
    KMS_TRY(kms_audit_segments_read(v->dir_fd, v->instance, 1, &v->segments, v->why));
    if (v->segments.last_number == 0) {
        kms_why_set(v->why, "%s: no audit log of instance %s", dir, v->instance);
        return KMS_FAIL(IO);
    }
    v->report.torn_tail = v->segments.torn_file;
    for (size_t i = 0; i < v->segments.count; i++) v->bytes_total += v->segments.list[i].bytes;
    return KMS_OK;
}

static bool valid_head(const char *expect_head)
{
    uint8_t digest[KMS_DIGEST_BYTES];
    char hex[KMS_AUDIT_HASH_HEX + 1];
    if (!kms_unhex(expect_head, strlen(expect_head), digest, sizeof digest)) return false;
    kms_hex(digest, sizeof digest, hex);
    return strcmp(hex, expect_head) == 0; /* lower case, as the log writes it */
}

kms_err kms_audit_verify(const struct kms_audit_check *check, struct kms_audit_report *ret_report,
                         struct kms_why *why)
{
    __attribute__((cleanup(free_verify))) struct kms_verify v = {
        .check = check, .dir_fd = -1, .scan = {.fd = -1}, .head = kms_audit_no_head, .why = why};
    bool named = check->instance == NULL || kms_audit_instance_valid(check->instance);
    if (check->max_unsigned > 0 && check->key_file == NULL) {
        kms_why_set(why, "without a public key nobody knows which records are signed");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (!named || (check->expect_head != NULL && !valid_head(check->expect_head))) {
        kms_why_set(why, named ? "a head is 64 hex digits in lower case"
                               : "an instance is 1 to 32 of a-z, 0-9 and -");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(find_log(&v, check->dir, check->instance));
    KMS_TRY(kms_audit_scan_new(&v.scan));
    KMS_TRY(kms_digest_new(&v.digest));
    kms_err err = kms_verify_heads_open(&v);
    if (!kms_failed(err)) err = check_all(&v);
    kms_copy(v.report.instance, v.instance, sizeof v.instance);
    v.report.last_sequence = v.head.sequence;
    kms_copy(v.report.head, v.head.hash, sizeof v.report.head);
    if (!kms_failed(err) || kms_is(err, KMS_E_CORRUPT)) *ret_report = v.report;
    return err;
}
