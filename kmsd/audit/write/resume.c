/* The newest file tells all: its first record repeats the mark and the open attempts of everything before. */
#include "kmsd/audit/write/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SEARCHED = 16 };

static kms_err damaged(const char *name, uint64_t line, const char *what, struct kms_why *why)
{
    kms_why_set(why, "%s:%llu: %s: move the log away and keep it, or restore it, then start again", name,
                (unsigned long long)line, what);
    return KMS_FAIL(CORRUPT);
}

/* One line: in sequence, hash right, effect on the state. */
static kms_err take_line(kms_digest *digest, struct kms_bytes line, bool first,
                         struct kms_audit_resume *resume, const char **ret_fault)
{
    struct kms_audit_record record;
    struct kms_audit_opening opening;
    bool same;
    *ret_fault = "not a record";
    if (!kms_audit_scan_record(line, &record)) return KMS_FAIL(CORRUPT);
    KMS_TRY(kms_audit_check_record(digest, &record, &same));
    *ret_fault = "changed: the hash is not that of the record";
    if (!same) return KMS_FAIL(CORRUPT);
    *ret_fault = "does not follow the record before it";
    bool follows = record.sequence == resume->head.sequence + 1 &&
                   memcmp(record.prev, resume->head.hash, KMS_AUDIT_HASH_HEX) == 0;
    if (!first && !follows) return KMS_FAIL(CORRUPT);
    *ret_fault = "tells no state that a log can have";
    if (first && !kms_audit_opening_read(line, &opening, &resume->state)) return KMS_FAIL(CORRUPT);
    if (!first) KMS_TRY(kms_audit_state_read(&resume->state, line, &record));
    kms_audit_head_of(&record, &resume->head);
    return KMS_OK;
}

static kms_err take_tail(struct kms_audit_scan *scan, const char *name, struct kms_audit_resume *resume,
                         struct kms_why *why)
{
    enum kms_audit_tail tail;
    resume->head_bytes = kms_audit_scan_position(scan);
    KMS_TRY(kms_audit_scan_tail(scan, &tail, &resume->torn_bytes));
    if (tail == KMS_AUDIT_TAIL_DAMAGED)
        return damaged(name, scan->line_number + 1, "changed: NUL bytes where no commit can have left them",
                       why);
    resume->because = tail == KMS_AUDIT_TAIL_CLOSED ? KMS_AUDIT_START : KMS_AUDIT_CRASH;
    return KMS_OK;
}

static kms_err read_file(struct kms_audit_scan *scan, const char *name, struct kms_audit_resume *resume,
                         struct kms_why *why)
{
    KMS_OWN(kms_digest) digest = NULL;
    KMS_TRY(kms_digest_new(&digest));
    for (;;) {
        struct kms_bytes line;
        enum kms_audit_step step;
        const char *fault = "cannot be read";
        KMS_TRY(kms_audit_scan_next(scan, &line, &step));
        if (step == KMS_AUDIT_OVERLONG)
            return damaged(name, scan->line_number + 1, "longer than a record can be", why);
        if (step != KMS_AUDIT_LINE) return take_tail(scan, name, resume, why);
        kms_err err = take_line(digest, line, scan->line_number == 1, resume, &fault);
        if (kms_is(err, KMS_E_CORRUPT)) return damaged(name, scan->line_number, fault, why);
        KMS_TRY(err);
    }
}

/* A prepared file holds nothing but NULs, so its first byte tells. There is one at most, and it is the
 * last but for files that failed: a gap in the numbers is not searched from end to end. */
static void remove_unused(int dir_fd, const char *instance, uint32_t from, uint32_t last)
{
    if (last > from + SEARCHED) from = last - SEARCHED;
    for (uint32_t number = from; number <= last; number++) {
        char name[KMS_AUDIT_NAME_BYTES];
        uint8_t first = 0;
        kms_audit_segment_name(instance, number, name);
        KMS_OWN_FD fd = kms_audit_open_file(dir_fd, name, 0);
        if (fd >= 0 && pread(fd, &first, 1, 0) >= 0 && first == 0) unlinkat(dir_fd, name, 0);
    }
}

static kms_err resume_from(int dir_fd, const char *instance, uint32_t number, struct kms_audit_resume *resume,
                           struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_scan_free))) struct kms_audit_scan scan = {.fd = -1};
    char name[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(instance, number, name);
    KMS_TRY(kms_audit_scan_new(&scan));
    KMS_TRY(kms_audit_scan_file(&scan, dir_fd, name, why));
    /* Where direct writes are refused, a killed writer's last records may be in memory only. */
    if (fsync(scan.fd) != 0) {
        kms_why_set(why, "%s: cannot be synced: %s", name, strerror(errno));
        return KMS_FAIL(IO);
    }
    resume->head_number = number;
    return read_file(&scan, name, resume, why);
}

kms_err kms_audit_resume(int dir_fd, const char *instance, struct kms_audit_resume *ret_resume,
                         struct kms_why *why)
{
    __attribute__((cleanup(kms_audit_segments_free))) struct kms_audit_segments segments = {0};
    struct kms_audit_resume resume = {.head = kms_audit_no_head, .because = KMS_AUDIT_NEW};
    KMS_TRY(kms_audit_segments_read(dir_fd, instance, 1, &segments, why));
    if (segments.count > 0)
        KMS_TRY(resume_from(dir_fd, instance, segments.list[segments.count - 1].number, &resume, why));
    remove_unused(dir_fd, instance, resume.head_number + 1, segments.last_number);
    resume.torn_file = segments.torn_file;
    resume.next_number = segments.last_number + 1;
    *ret_resume = resume;
    return KMS_OK;
}

void kms_audit_resume_tidy(int dir_fd, const char *instance, const struct kms_audit_resume *resume)
{
    if (resume->because != KMS_AUDIT_CRASH) return;
    char name[KMS_AUDIT_NAME_BYTES];
    kms_audit_segment_name(instance, resume->head_number, name);
    KMS_OWN_FD fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && ftruncate(fd, (off_t)resume->head_bytes) != 0) errno = 0;
}
