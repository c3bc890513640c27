/*
 * Reading the audit log back: what `kmsctl audit tail` and `verify` stand on. Needs the files only; knows
 * nothing of the daemon. Memory is constant however long the log is. Not thread-safe.
 */
#ifndef KMS_AUDIT_READER_H
#define KMS_AUDIT_READER_H

#include "base/bytes.h"
#include "base/digest.h"

struct kms_audit_line {
    const char *file;      /* borrowed until the next read */
    uint64_t line_number;  /* from 1 */
    struct kms_bytes text; /* the JSON object without its newline, borrowed until the next read */
};

typedef struct kms_audit_reader kms_audit_reader;

/* All segments of an instance in dir in order (instance NULL: the only one, or INVALID_ARGUMENT naming two
 * of several). IO: why names directory or file, and what is missing. NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_reader_open(const char *dir, const char *instance,
                                           kms_audit_reader **ret_reader, struct kms_why *why);
/* The next complete line. *ret_more false: the end of what is written (a torn or unfinished last line is
 * not given). May be called again later to follow a live log, new segments included. Records that a failed
 * file holds behind the point where the next file goes on are not given (chain.h); only who follows at
 * that very moment may have seen them. Does not check hashes. IO; CORRUPT: a line longer than a record can
 * be. */
KMS_MUST_USE kms_err kms_audit_reader_next(kms_audit_reader *reader, struct kms_audit_line *ret_line,
                                           bool *ret_more, struct kms_why *why);
/* Only records of this range of time are wanted, texts as in records: from since on, and before until; "" is
 * open. What certainly holds none of them is not read: whole files, and the rest of a file from the first
 * record that is too late. Others are still given: whoever asks looks at the time of each. Before the first
 * next; not for tail. */
void kms_audit_reader_between(kms_audit_reader *reader, const char *since, const char *until);
/* How much was read, and how much there was when the reader last looked; for a progress bar. Live files
 * count with the room that is set aside for them. */
void kms_audit_reader_progress(const kms_audit_reader *reader, uint64_t *ret_bytes_done,
                               uint64_t *ret_bytes_total);
/* Go to the last `lines` records. */
KMS_MUST_USE kms_err kms_audit_reader_tail(kms_audit_reader *reader, size_t lines, struct kms_why *why);
void kms_audit_reader_close(kms_audit_reader *reader);
void kms_audit_reader_drop(kms_audit_reader **reader);

struct kms_audit_report {
    uint64_t records, files, bytes;
    uint64_t first_sequence, last_sequence;
    char head[2 * KMS_DIGEST_BYTES + 1]; /* hash of the last record */
    bool torn_tail;                      /* the last line is unfinished: a crash, or a live log */
};
/* Called now and then while verify runs, for a progress bar. */
typedef void kms_audit_progress(void *user, uint64_t bytes_done, uint64_t bytes_total);
struct kms_audit_watch {
    kms_audit_progress *progress;
    void *user;
};
/* Checks sequence, hashes and the order of files of one instance. CORRUPT: why says "FILE:LINE: KIND:
 * words" of the first fault, KIND being changed, removed, inserted, reordered or missing file. A log whose
 * oldest files were archived is good in itself: first_sequence says where it begins. expect_head: NULL, or
 * the hash (lower case) of a record that must be in the log (a head kept elsewhere: proof against
 * truncation). watch: NULL, or who is told of the progress. INVALID_ARGUMENT; IO. */
KMS_MUST_USE kms_err kms_audit_verify(const char *dir, const char *instance, const char *expect_head,
                                      const struct kms_audit_watch *watch,
                                      struct kms_audit_report *ret_report, struct kms_why *why);

#endif
