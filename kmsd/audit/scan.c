/* Finds line ends and the first NUL, each with one pass over what was read. */
#include "kmsd/audit/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/audit/audit.h"
#include "kmsd/audit/segment.h"

kms_err kms_audit_scan_new(struct kms_audit_scan *ret_scan)
{
    uint8_t *memory = malloc(KMS_AUDIT_SCAN_BYTES);
    if (memory == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_scan = (struct kms_audit_scan){
        .fd = -1, .memory = memory, .memory_bytes = KMS_AUDIT_SCAN_BYTES, .read_bytes = KMS_AUDIT_SCAN_BYTES};
    return KMS_OK;
}

void kms_audit_scan_free(struct kms_audit_scan *scan)
{
    if (scan->memory == NULL) return;
    kms_fd_drop(&scan->fd);
    kms_audit_unpacker_free(scan->unpacker);
    free(scan->memory);
    *scan = (struct kms_audit_scan){.fd = -1};
}

int kms_audit_open_file(int dir_fd, const char *name, int more_flags)
{
    struct stat status;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more_flags);
    if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))) return fd;
    close(fd);
    errno = ENXIO;
    return -1;
}

/* Between the two looks a packer may take the plain file away, but not before the other is there. */
static int open_either(int dir_fd, const char *name, bool *ret_packed)
{
    char packed[KMS_AUDIT_NAME_BYTES];
    int fd = kms_audit_open_file(dir_fd, name, 0);
    *ret_packed = false;
    if (fd >= 0 || errno != ENOENT) return fd;
    kms_audit_packed_name(name, packed);
    *ret_packed = true;
    return kms_audit_open_file(dir_fd, packed, 0);
}

kms_err kms_audit_scan_file(struct kms_audit_scan *scan, int dir_fd, const char *name, struct kms_why *why)
{
    bool packed;
    KMS_OWN_FD fd = open_either(dir_fd, name, &packed);
    if (fd < 0) {
        kms_why_set(why, "%s%s: %s", name, packed && errno != ENOENT ? ".zst" : "",
                    errno == ENXIO ? "no regular file, so none of this log: move it away" : strerror(errno));
        return KMS_FAIL(IO);
    }
    if (packed && scan->unpacker == NULL) KMS_TRY(kms_audit_unpacker_new(&scan->unpacker));
    if (packed) kms_audit_unpacker_restart(scan->unpacker);
    kms_fd_drop(&scan->fd);
    *scan = (struct kms_audit_scan){.fd = fd,
                                    .packed = packed,
                                    .unpacker = scan->unpacker,
                                    .memory = scan->memory,
                                    .memory_bytes = scan->memory_bytes,
                                    .read_bytes = scan->read_bytes};
    fd = -1;
    return KMS_OK;
}

static kms_err read_some(const struct kms_audit_scan *scan, uint8_t *to, size_t room, uint64_t offset,
                         size_t *ret_len)
{
    if (scan->packed) return kms_audit_unpack(scan->unpacker, scan->fd, offset, to, room, ret_len);
    for (;;) {
        ssize_t got = pread(scan->fd, to, room, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return KMS_FAIL(IO);
        *ret_len = (size_t)got;
        return KMS_OK;
    }
}

/* For a line that fills it: rare, since a record of one call is never that long. */
static kms_err grow(struct kms_audit_scan *scan)
{
    uint8_t *larger = realloc(scan->memory, 2 * scan->memory_bytes);
    if (larger == NULL) return KMS_FAIL(NO_MEMORY);
    scan->memory = larger;
    scan->memory_bytes *= 2;
    return KMS_OK;
}

/* Moves the begun line to the front of the buffer and reads behind it. */
static kms_err refill(struct kms_audit_scan *scan, size_t *ret_len)
{
    size_t kept = scan->filled - scan->at, len;
    memmove(scan->memory, scan->memory + scan->at, kept);
    scan->offset += scan->at;
    scan->at = 0;
    scan->clean = scan->filled = kept;
    if (kept == scan->memory_bytes) KMS_TRY(grow(scan));
    size_t room = scan->memory_bytes - kept;
    if (room > scan->read_bytes) room = scan->read_bytes;
    KMS_TRY(read_some(scan, scan->memory + kept, room, scan->offset + kept, &len));
    scan->filled += len;
    const uint8_t *nul = memchr(scan->memory + kept, 0, len);
    scan->clean = nul != NULL ? (size_t)(nul - scan->memory) : scan->filled;
    *ret_len = len;
    return KMS_OK;
}

/* What was read behind the next line's start may be old by the time of the next call. */
static void forget(struct kms_audit_scan *scan)
{
    scan->offset += scan->at;
    scan->at = scan->clean = scan->filled = 0;
}

kms_err kms_audit_scan_next(struct kms_audit_scan *scan, struct kms_bytes *ret_line,
                            enum kms_audit_step *ret_step)
{
    size_t searched = 0; /* of the line, without finding its end */
    bool looked = false; /* in this call: an end that was seen in an earlier one may be none any more */
    for (;;) {
        const uint8_t *start = scan->memory + scan->at;
        size_t have = scan->clean - scan->at, more = 0;
        const uint8_t *end = memchr(start + searched, '\n', have - searched);
        if (end != NULL && end - start < KMS_AUDIT_LINE_BYTES) {
            *ret_line = kms_bytes_of(start, (size_t)(end - start));
            *ret_step = KMS_AUDIT_LINE;
            scan->at += ret_line->len + 1;
            scan->line_number++;
            return KMS_OK;
        }
        if (have >= KMS_AUDIT_LINE_BYTES) {
            *ret_step = KMS_AUDIT_OVERLONG;
            return KMS_OK;
        }
        searched = have;
        if (scan->clean < scan->filled && !looked && !scan->packed) {
            forget(scan);
            searched = 0;
        }
        if (scan->clean == scan->filled) KMS_TRY(refill(scan, &more));
        looked = true;
        if (more > 0) continue;
        *ret_step = have == 0 ? KMS_AUDIT_END : KMS_AUDIT_TORN;
        forget(scan);
        return KMS_OK;
    }
}

void kms_audit_scan_back(struct kms_audit_scan *scan, struct kms_bytes line)
{
    scan->at -= line.len + 1;
    scan->line_number--;
}

kms_err kms_audit_scan_seek(struct kms_audit_scan *scan, uint64_t offset, bool *ret_there)
{
    uint8_t before = '\n';
    size_t len = 1;
    *ret_there = false;
    if (offset > INT64_MAX) return KMS_OK;
    if (offset > 0) KMS_TRY(read_some(scan, &before, 1, offset - 1, &len));
    *ret_there = len == 1 && before == '\n';
    scan->offset = offset;
    scan->at = scan->clean = scan->filled = 0;
    scan->line_number = 0;
    return KMS_OK;
}

uint64_t kms_audit_scan_position(const struct kms_audit_scan *scan)
{
    return scan->offset + scan->at;
}

/* Length without the NULs at the end. */
static size_t without_nuls(const uint8_t *data, size_t len)
{
    static const uint8_t nuls[4096];
    while (len >= sizeof nuls && memcmp(data + len - sizeof nuls, nuls, sizeof nuls) == 0) len -= sizeof nuls;
    while (len > 0 && data[len - 1] == 0) len--;
    return len;
}

kms_err kms_audit_scan_tail(const struct kms_audit_scan *scan, enum kms_audit_tail *ret_tail,
                            uint64_t *ret_bytes)
{
    uint64_t start = kms_audit_scan_position(scan), end = start, data_end = start;
    bool nul_seen = false;
    for (size_t len = 1; len > 0; end += len) {
        KMS_TRY(read_some(scan, scan->memory, KMS_AUDIT_SCAN_BYTES, end, &len));
        size_t data = without_nuls(scan->memory, len);
        nul_seen = nul_seen || memchr(scan->memory, 0, len) != NULL;
        if (data > 0) data_end = end + data;
    }
    enum kms_audit_tail tail = KMS_AUDIT_TAIL_TORN;
    if (end == start)
        tail = KMS_AUDIT_TAIL_CLOSED;
    else if (data_end == start)
        tail = KMS_AUDIT_TAIL_LIVE;
    else if ((data_end == end && nul_seen) || data_end - start > KMS_AUDIT_BATCH_BYTES)
        tail = KMS_AUDIT_TAIL_DAMAGED;
    *ret_tail = tail;
    *ret_bytes = data_end - start;
    return KMS_OK;
}
