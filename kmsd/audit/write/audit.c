/*
 * The writer: events become bodies in a batch; a commit puts the chain's frame around them, straight into the
 * memory that is written. So a batch whose write failed can be framed again for another file, going on from
 * the last durable record.
 */
#include "kmsd/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "kmsd/audit/encode.h"
#include "kmsd/audit/write/resume.h"
#include "kmsd/audit/write/writer.h"
#include "kmsd/metrics/metric.h"

enum { SEGMENT_MIN_BYTES = 64 * 1024 };
#define SEGMENT_MAX_BYTES (UINT64_C(1) << 40)

/* Before each body in the batch. */
struct item {
    uint64_t time_us;
    uint64_t len; /* of the body */
};

void kms_audit_tell_state(kms_audit *audit, const struct kms_why *failed)
{
    kms_audit_tell(audit->told, &audit->chain.head, &audit->durable, failed);
}

static kms_err frame_opening(kms_audit *audit, uint8_t *to, size_t *ret_len)
{
    uint8_t body[KMS_AUDIT_OPENING_BYTES];
    struct item first = {.time_us = audit->time_us};
    size_t len;
    struct kms_audit_opening opening = {
        .number = kms_audit_sink_number(audit->sink), .after = audit->head_number, .because = audit->because};
    KMS_TRY(kms_audit_encode_opening(&opening, &audit->durable, audit->instance, body, &len));
    if (audit->batch_len > 0)
        memcpy(&first, audit->batch, sizeof first); /* not later than the records behind it */
    return kms_audit_seal(&audit->chain, first.time_us, kms_bytes_of(body, len), to, ret_len);
}

static kms_err frame_batch(kms_audit *audit, uint8_t *to, size_t *ret_len)
{
    const uint8_t *start = to;
    for (size_t at = 0; at < audit->batch_len;) {
        struct item item;
        size_t len;
        memcpy(&item, audit->batch + at, sizeof item);
        at += sizeof item;
        KMS_TRY(
            kms_audit_seal(&audit->chain, item.time_us, kms_bytes_of(audit->batch + at, item.len), to, &len));
        to += len;
        at += item.len;
    }
    *ret_len = (size_t)(to - start);
    return KMS_OK;
}

kms_err kms_audit_write_batch(kms_audit *audit, bool fresh, struct kms_why *why)
{
    size_t opening_len = 0, batch_len = 0;
    struct kms_audit_head before = audit->chain.head;
    uint8_t *space = kms_audit_sink_space(audit->sink);
    kms_err err = fresh ? frame_opening(audit, space, &opening_len) : KMS_OK;
    if (!kms_failed(err)) err = frame_batch(audit, space + opening_len, &batch_len);
    if (!kms_failed(err)) err = kms_audit_sink_commit(audit->sink, opening_len + batch_len, why);
    if (kms_failed(err)) {
        audit->chain.head = before;
        return err;
    }
    audit->head_number = kms_audit_sink_number(audit->sink);
    if (fresh) audit->file_first = before.sequence + 1;
    if (fresh) audit->file_began_us = kms_monotonic_us();
    if (fresh) kms_audit_pack_below(audit->packer, audit->head_number);
    return KMS_OK;
}

bool kms_audit_usable(const kms_audit *audit)
{
    uint32_t number = kms_audit_sink_number(audit->sink);
    return number != 0 && number == audit->head_number;
}

/* To the file being written if it has room, else to a new one; if writing fails, once more to another. */
static kms_err write_somewhere(kms_audit *audit, struct kms_why *why)
{
    kms_err err = KMS_OK;
    for (int tries = 0; tries < 2; tries++) {
        bool good = kms_audit_usable(audit);
        bool fresh = !good || !kms_audit_sink_fits(audit->sink, audit->framed_len);
        if (fresh) {
            if (good) audit->because = KMS_AUDIT_FULL;
            KMS_TRY(kms_audit_sink_roll(audit->sink, why));
        }
        err = kms_audit_write_batch(audit, fresh, why);
        if (!kms_failed(err)) return KMS_OK;
        audit->because = audit->head_number == 0 ? KMS_AUDIT_NEW : KMS_AUDIT_FAILED;
    }
    return err;
}

kms_err kms_audit_flush(kms_audit *audit)
{
    struct kms_why why = {.text = "internal error: no digest"};
    uint64_t before = audit->chain.head.sequence;
    bool ok = !kms_failed(write_somewhere(audit, &why));
    kms_metric_add(KMS_METRIC_AUDIT_RECORDS, audit->chain.head.sequence - before); /* none when it failed */
    if (!ok) kms_metric_add(KMS_METRIC_AUDIT_WRITE_FAILURES, 1);
    if (audit->state_moved) {
        if (ok)
            audit->durable = audit->pending;
        else
            audit->pending = audit->durable;
        audit->state_moved = false;
    }
    audit->batch_len = audit->framed_len = 0;
    kms_audit_tell_state(audit, ok ? NULL : &why);
    return ok ? KMS_OK : KMS_FAIL(AUDIT_UNAVAILABLE);
}

/* The batch as it is goes first; a body that stands behind it becomes the first of the next one. */
static kms_err make_room(kms_audit *audit, size_t behind_len)
{
    const uint8_t *behind = audit->batch + audit->batch_len;
    kms_err err = kms_audit_flush(audit);
    memmove(audit->batch, behind, behind_len);
    audit->spoilt = audit->spoilt || kms_failed(err);
    return err;
}

kms_err kms_audit_append(kms_audit *audit, const struct kms_audit_event *event)
{
    if (audit->spoilt || kms_audit_short_of_space(audit, event)) return KMS_FAIL(AUDIT_UNAVAILABLE);
    uint64_t now_us = kms_now_us();
    if (now_us > audit->time_us) audit->time_us = now_us;
    struct item item = {.time_us = audit->time_us};
    uint8_t *at = audit->batch + audit->batch_len;
    KMS_TRY(kms_audit_encode(event, audit->instance, item.time_us, at + sizeof item, &item.len));
    memcpy(at, &item, sizeof item);
    if (item.len + KMS_AUDIT_FRAME_BYTES > audit->batch_max) return KMS_FAIL(LIMIT_EXCEEDED);
    if (audit->framed_len + item.len + KMS_AUDIT_FRAME_BYTES > audit->batch_max)
        KMS_TRY(make_room(audit, sizeof item + item.len));
    if (!kms_audit_state_untouched(event)) {
        KMS_TRY(kms_audit_state_apply(&audit->pending, event));
        audit->state_moved = true;
    }
    audit->batch_len += sizeof item + item.len;
    audit->framed_len += item.len + KMS_AUDIT_FRAME_BYTES;
    return KMS_OK;
}

kms_err kms_audit_commit(kms_audit *audit)
{
    kms_err err = audit->batch_len > 0 ? kms_audit_flush(audit) : KMS_OK;
    if (audit->spoilt) err = KMS_FAIL(AUDIT_UNAVAILABLE);
    audit->spoilt = false;
    return err;
}

static kms_err check_options(const struct kms_audit_options *options, struct kms_why *why)
{
    const char *fault = NULL;
    if (!kms_audit_instance_valid(options->instance)) fault = "the instance is 1 to 32 of a-z, 0-9 and -";
    if (options->segment_bytes % KMS_AUDIT_BLOCK_BYTES != 0)
        fault = "the size of a segment is a multiple of 4096 bytes";
    if (options->segment_bytes < SEGMENT_MIN_BYTES || options->segment_bytes > SEGMENT_MAX_BYTES)
        fault = "the size of a segment is 64 KiB to 1 TiB";
    if (fault == NULL) return KMS_OK;
    kms_why_set(why, "audit log: %s", fault);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* Two writers would tear the chain in two. The lock goes with the process, however it ends. */
static kms_err lock_log(kms_audit *audit, const char *dir, struct kms_why *why)
{
    char name[KMS_AUDIT_NAME_BYTES];
    snprintf(name, sizeof name, ".%s.lock", audit->instance);
    audit->lock_fd = openat(audit->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (audit->lock_fd >= 0 && flock(audit->lock_fd, LOCK_EX | LOCK_NB) == 0) return KMS_OK;
    const char *cause = errno == EWOULDBLOCK ? "another process writes this log" : strerror(errno);
    kms_why_set(why, "%s/%s: %s", dir, name, cause);
    return KMS_FAIL(AUDIT_UNAVAILABLE);
}

static kms_err make_parts(kms_audit *audit, const struct kms_audit_options *options, uint32_t first_number)
{
    uint64_t room = options->segment_bytes - KMS_AUDIT_BLOCK_BYTES;
    if (room > KMS_AUDIT_BATCH_BYTES) room = KMS_AUDIT_BATCH_BYTES;
    audit->batch_max = (size_t)room - KMS_AUDIT_OPENING_BYTES;
    audit->batch =
        malloc(audit->batch_max + sizeof(struct item) + KMS_AUDIT_LINE_BYTES); /* one body may stand behind */
    if (audit->batch == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_digest_new(&audit->digest));
    audit->chain.digest = audit->digest;
    return kms_audit_sink_new(&(struct kms_audit_sink_options){.dir_fd = audit->dir_fd,
                                                               .instance = audit->instance,
                                                               .segment_bytes = options->segment_bytes,
                                                               .first_number = first_number,
                                                               .batch_bytes = (size_t)room,
                                                               .cached = options->cached},
                              &audit->sink);
}

/* What a crash cut off was never acknowledged; that it was there is said all the same. */
static kms_err record_torn(kms_audit *audit, const struct kms_audit_resume *resume)
{
    char name[KMS_AUDIT_NAME_BYTES], bytes[24];
    kms_audit_segment_name(audit->instance, resume->torn_file ? resume->next_number - 1 : resume->head_number,
                           name);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)resume->torn_bytes);
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_RECOVERY,
        .detail = "a commit was cut off: what it left was never acknowledged and does not count",
        .extra = {{kms_bytes_text("event"), kms_bytes_text("torn-line")},
                  {kms_bytes_text("file"), kms_bytes_text(name)},
                  {kms_bytes_text("bytes"), kms_bytes_text(bytes)}},
        .extra_count = 3,
    };
    return kms_audit_append(audit, &event);
}

static void add_dir(const kms_audit *audit, const char *dir, struct kms_why *why)
{
    struct kms_why failed;
    kms_audit_trouble(audit, &failed);
    kms_why_set(why, "%s/%s", dir, failed.text);
}

static kms_err begin(kms_audit *audit, const struct kms_audit_options *options, struct kms_why *why)
{
    struct kms_audit_resume resume;
    KMS_TRY(kms_audit_open_dir(options->dir, &audit->dir_fd, why));
    KMS_TRY(lock_log(audit, options->dir, why));
    KMS_TRY(kms_audit_resume(audit->dir_fd, audit->instance, &resume, why));
    KMS_TRY(make_parts(audit, options, resume.next_number));
    audit->chain.head = resume.head;
    audit->head_number = resume.head_number;
    audit->because = resume.because;
    audit->durable = audit->pending = resume.state;
    audit->found_count = resume.state.open_count;
    memcpy(audit->found, resume.state.open, sizeof audit->found);
    audit->time_us = kms_now_us();
    if (resume.torn_bytes > 0 || resume.torn_file) KMS_TRY(record_torn(audit, &resume));
    kms_err err = kms_audit_flush(audit); /* the first record of the new file, even without others */
    if (kms_failed(err)) {
        add_dir(audit, options->dir, why);
        return err;
    }
    audit->space.warn_bytes = options->warn_free_bytes;
    audit->space.refuse_bytes = options->refuse_free_bytes;
    kms_audit_look_at_space(audit);
    kms_audit_resume_tidy(audit->dir_fd, audit->instance, &resume);
    if (options->compress) KMS_TRY(kms_audit_packer_new(audit->dir_fd, audit->instance, &audit->packer));
    kms_audit_pack_below(audit->packer, audit->head_number); /* not before all of them are as they stay */
    return KMS_OK;
}

kms_err kms_audit_open(const struct kms_audit_options *options, kms_audit **ret_audit, struct kms_why *why)
{
    KMS_TRY(check_options(options, why));
    KMS_OWN(kms_audit) audit = calloc(1, sizeof *audit);
    if (audit == NULL) return KMS_FAIL(NO_MEMORY);
    audit->dir_fd = audit->lock_fd = -1;
    snprintf(audit->instance, sizeof audit->instance, "%s", options->instance);
    audit->segment_age_us = options->segment_age_us;
    KMS_TRY(kms_audit_told_new(&audit->told));
    kms_err err = begin(audit, options, why);
    if (kms_is(err, KMS_E_IO)) return KMS_FAIL(AUDIT_UNAVAILABLE);
    KMS_TRY(err);
    *ret_audit = KMS_GIVE(audit);
    return KMS_OK;
}

size_t kms_audit_open_attempts(const kms_audit *audit, const struct kms_audit_open_attempt **ret_attempts)
{
    *ret_attempts = audit->found;
    return audit->found_count;
}

void kms_audit_close(kms_audit *audit)
{
    if (audit == NULL) return;
    if (audit->batch_len > 0)
        kms_ignore(kms_audit_flush(audit)); /* whoever needed these records has committed */
    kms_audit_packer_free(audit->packer);
    kms_audit_sink_free(audit->sink);
    kms_digest_free(audit->digest);
    kms_fd_drop(&audit->lock_fd);
    kms_fd_drop(&audit->dir_fd);
    kms_audit_told_free(audit->told);
    free(audit->batch);
    free(audit);
}

void kms_audit_drop(kms_audit **audit)
{
    kms_audit_close(*audit);
}
