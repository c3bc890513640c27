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
/* Where somebody stopped reading and can go on, whatever was written meanwhile. */
struct kms_audit_place {
    uint32_t number;   /* of a file; 0: the beginning of the log */
    uint64_t offset;   /* of a line in it */
    uint64_t sequence; /* that its record has; 0: not known */
};
/* The same, at a place that a reader of this log gave. INVALID_MARKER: the log has no such place, or no
 * longer. */
KMS_MUST_USE kms_err kms_audit_reader_open_at(const char *dir, const char *instance,
                                              const struct kms_audit_place *place,
                                              kms_audit_reader **ret_reader, struct kms_why *why);
/* Where the next line is. */
void kms_audit_reader_place(const kms_audit_reader *reader, struct kms_audit_place *ret_place);
/* To the beginning of the newest file that begins with this sequence or a lower one. */
KMS_MUST_USE kms_err kms_audit_reader_near(kms_audit_reader *reader, uint64_t sequence, struct kms_why *why);
/* The next complete line. *ret_more false: the end of what is written (a torn or unfinished last line is
 * not given). May be called again later to follow a live log, new segments included. Records that a failed
 * file holds behind the point where the next file goes on are not given (chain.h); only who follows, and
 * reads on before it looks for the next file, may have seen them. Does not check hashes. IO; CORRUPT: a line
 * longer than a record can be. */
KMS_MUST_USE kms_err kms_audit_reader_next(kms_audit_reader *reader, struct kms_audit_line *ret_line,
                                           bool *ret_more, struct kms_why *why);
/* Records that belong before the one that was given last, but are not in the log: retention dropped them
 * while this reader was before them, or somebody took them out. Tells each gap once; false: none. */
struct kms_audit_gap {
    uint64_t first, last; /* sequences */
};
bool kms_audit_reader_gap(kms_audit_reader *reader, struct kms_audit_gap *ret_gap);
/* Looks which files there are now, so that from the current one nothing is given that the next supersedes.
 * Who follows, and knows when a new file has begun, asks for it then. IO. */
KMS_MUST_USE kms_err kms_audit_reader_look(kms_audit_reader *reader, struct kms_why *why);
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

/* Called now and then while verify runs, for a progress bar. */
typedef void kms_audit_progress(void *user, uint64_t bytes_done, uint64_t bytes_total);
struct kms_audit_watch {
    kms_audit_progress *progress;
    void *user;
};

/* What verify shall check, and against what. All borrowed; NULL where not said otherwise. */
struct kms_audit_check {
    const char *dir;         /* never NULL */
    const char *instance;    /* NULL: the only one there */
    const char *expect_head; /* hash (lower case) of a record that must be in the log */
    const char *key_file;    /* public keys in PEM: signatures are checked with them */
    const char *anchor_file; /* signed heads that were kept elsewhere (chain.h): each must be in the log */
    const struct kms_audit_watch *watch;
    bool archived; /* the oldest files were moved away: no record needs to say that they were dropped */
    uint64_t max_unsigned; /* so many records may stand behind the last signed head; 0: any number. Only
                            * with key_file, as else nobody knows who signed */
};

/* "FILE:LINE: KIND: words" of the first fault. KIND is changed, removed, inserted, reordered, missing file,
 * forged: a head that the token did not sign there, or unsigned: more than max_unsigned. */
struct kms_audit_fault {
    char file[256]; /* of the log, or the anchor file; "": no fault */
    uint64_t line;
    char kind[16], words[256];
};

struct kms_audit_report {
    char instance[33];
    uint64_t records, files, bytes;
    uint64_t first_sequence, last_sequence;
    char head[2 * KMS_DIGEST_BYTES + 1]; /* hash of the last record */
    bool torn_tail;                      /* the last line is unfinished: a crash, or a live log */
    uint64_t heads;                      /* signed heads in the log */
    uint64_t signed_sequence;            /* of the record that the newest of them signs; 0: there is none */
    uint64_t unsigned_records;           /* behind that one */
    bool signatures_checked;             /* else each of them fits its record, but who signed is not known */
    /* The log was closed in good order, but does not end in its signed head: the token did not sign, or
     * records were cut off. */
    bool open_end;
    uint64_t anchors, anchors_before; /* anchored heads in the log; those that are older than the log here */
    struct kms_audit_fault fault;     /* if CORRUPT */
};

/* Checks sequence, hashes, the order of files and the signed heads of one instance. CORRUPT: why says the
 * first fault, and the report goes as far as that; with other errors it is untouched. Files may be missing
 * at its beginning when a record of the service says that it dropped them (front.h), or the caller that
 * they were archived: first_sequence says where it begins. Without key_file and heads kept elsewhere
 * nothing tells that someone made all of the log anew. INVALID_ARGUMENT; IO. */
KMS_MUST_USE kms_err kms_audit_verify(const struct kms_audit_check *check,
                                      struct kms_audit_report *ret_report, struct kms_why *why);

/* The instances whose logs are in a directory, in alphabetical order. IO: why names it, also when there is
 * none. LIMIT_EXCEEDED: more than KMS_AUDIT_INSTANCES. */
enum { KMS_AUDIT_INSTANCES = 64 };
struct kms_audit_instances {
    char name[KMS_AUDIT_INSTANCES][33];
    size_t count;
};
KMS_MUST_USE kms_err kms_audit_instances_read(const char *dir, struct kms_audit_instances *ret_instances,
                                              struct kms_why *why);
/* The same of those that have heads in an anchor file; none is no error, and what is no regular file, which
 * can be read only once, is left to verify. IO: why names it. LIMIT_EXCEEDED. */
KMS_MUST_USE kms_err kms_audit_instances_anchored(const char *anchor_file,
                                                  struct kms_audit_instances *ret_instances,
                                                  struct kms_why *why);

#endif
