/*
 * The lines of one file of the log, plain or compressed, read through a buffer of fixed size: for readers,
 * for verify, and for opening a log again. Not thread-safe.
 */
#ifndef KMS_AUDIT_SCAN_H
#define KMS_AUDIT_SCAN_H

#include "base/bytes.h"
#include "kmsd/audit/unpack.h"

enum {
    KMS_AUDIT_SCAN_BYTES = 256 * 1024, /* of the buffer; it grows for a line that is longer */
    /* Longest stretch that one commit writes: behind a torn line there can be no more than this. */
    KMS_AUDIT_BATCH_BYTES = 4 * 1024 * 1024,
};

enum kms_audit_step {
    KMS_AUDIT_LINE,     /* a line that ended in LF and has no NUL */
    KMS_AUDIT_END,      /* nothing more: end of file, or NUL, where a line would begin */
    KMS_AUDIT_TORN,     /* end of file or NUL within a line */
    KMS_AUDIT_OVERLONG, /* longer than a record can be */
};

struct kms_audit_scan {
    int fd;                       /* owned; -1: no file */
    bool packed;                  /* the file is compressed; offsets and lengths are those of its content */
    kms_audit_unpacker *unpacker; /* owned; NULL until a compressed file was met */
    uint8_t *memory;              /* owned */
    size_t memory_bytes;
    size_t read_bytes;        /* at most so many at once: KMS_AUDIT_SCAN_BYTES, less where few are wanted */
    size_t at, clean, filled; /* in memory: next line, first NUL or filled, end of what was read */
    uint64_t offset;          /* of memory[0] in the file */
    uint64_t line_number;     /* of the last line given, from 1 */
};

KMS_MUST_USE kms_err kms_audit_scan_new(struct kms_audit_scan *ret_scan); /* NO_MEMORY */
void kms_audit_scan_free(struct kms_audit_scan *scan);
/* A file of the log for reading, as an owned descriptor; -1: errno tells. What is no regular file, a FIFO
 * that nobody writes to above all, is not waited for: ENXIO. */
int kms_audit_open_file(int dir_fd, const char *name, int more_flags);
/* From the start of this file, or of NAME.zst where there is no file of this name. IO: why names it. */
KMS_MUST_USE kms_err kms_audit_scan_file(struct kms_audit_scan *scan, int dir_fd, const char *name,
                                         struct kms_why *why);
/* ret_line: without LF, borrowed until the next call; set with LINE only. After END or TORN, calling again
 * looks again at the same place: the file may have grown. IO. CORRUPT, NO_MEMORY: a compressed file. */
KMS_MUST_USE kms_err kms_audit_scan_next(struct kms_audit_scan *scan, struct kms_bytes *ret_line,
                                         enum kms_audit_step *ret_step);
/* The line that was given last is given again. Once only, and only directly after it was given. */
void kms_audit_scan_back(struct kms_audit_scan *scan, struct kms_bytes line);
/* Goes on at offset, which must be the beginning of the file or stand behind an LF; *ret_there false: it does
 * not, and where the scan stands is not known. Line numbers count from there. IO, CORRUPT. */
KMS_MUST_USE kms_err kms_audit_scan_seek(struct kms_audit_scan *scan, uint64_t offset, bool *ret_there);
uint64_t kms_audit_scan_position(const struct kms_audit_scan *scan); /* offset of the next line */

/* How a file ends behind its last line (chain.h). */
enum kms_audit_tail {
    KMS_AUDIT_TAIL_CLOSED,  /* in good order: nothing behind the last line */
    KMS_AUDIT_TAIL_LIVE,    /* only NULs: being written, or its writer was killed */
    KMS_AUDIT_TAIL_TORN,    /* what a commit that was cut off leaves */
    KMS_AUDIT_TAIL_DAMAGED, /* nothing that a writer leaves: NULs in a closed file, or more than one commit
                               behind a NUL */
};
/* After END or TORN. ret_bytes: from the next line to the last byte that is not NUL. IO. */
KMS_MUST_USE kms_err kms_audit_scan_tail(const struct kms_audit_scan *scan, enum kms_audit_tail *ret_tail,
                                         uint64_t *ret_bytes);

#endif
