/*
 * kms_audit: the append-only record of every call. JSON lines, each carrying the SHA-256 of the one before;
 * made durable by one commit for many records (group commit). No record, no answer: the caller holds back its
 * replies until commit has succeeded, and fails them with AUDIT_UNAVAILABLE when it has not.
 *
 * Files: DIR/INSTANCE-00000001.jsonl, ... (.jsonl.zst when they are closed and compressed), preallocated
 * segments written directly (O_DIRECT|O_DSYNC where the file system can, else write and fdatasync); the live
 * segment ends in NULs until it is closed, readers stop at the first NUL. After a failed write or sync a file
 * is never written again: the next records open a new segment, and the chain goes on from the last record
 * that was durable.
 *
 * Threads: one thread appends, commits and tends; any may ask for head, last mark, writable, trouble(s) and
 * for a new file. Opening starts a thread that prepares the next segment, and one that compresses, so open
 * after forking.
 */
#ifndef KMS_AUDIT_AUDIT_H
#define KMS_AUDIT_AUDIT_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/id.h"
#include "kmsd/audit/head.h"

enum kms_audit_kind {
    KMS_AUDIT_CALL = 1,   /* "call": a finished call that changes nothing stored */
    KMS_AUDIT_ATTEMPT,    /* "attempt": about to change something, or to stream the log */
    KMS_AUDIT_OUTCOME,    /* "outcome": what became of an attempt, same request id */
    KMS_AUDIT_RECOVERY,   /* "recovery": closes an attempt or a torn line that a crash left */
    KMS_AUDIT_SUPPRESSED, /* "suppressed": how many refused calls of a principal were not recorded one by one
                           */
    KMS_AUDIT_SERVICE,    /* "service": start, stop, policy loaded, rollback accepted */
    KMS_AUDIT_HEAD,       /* "head": a signature over the chain up to a record before this one */
};

/* One name and value, UTF-8, logged in clear. A value without pointer becomes null. */
struct kms_audit_pair {
    struct kms_bytes name, value;
};

/* One decision of a call: may this principal do this action on this key? */
struct kms_audit_access {
    const char *action;                   /* "kms:Decrypt" */
    const char *key_id;                   /* NULL: an action on the service, or no such key */
    struct kms_bytes role;                /* ARN of the database role; empty: not about one */
    struct kms_bytes secret;              /* ARN of the stored secret; empty: not about one */
    struct kms_bytes key_named;           /* as the caller named it; empty when found otherwise */
    uint32_t key_version;                 /* 0: not known */
    const struct kms_audit_pair *context; /* encryption context */
    size_t context_count;
    const struct kms_audit_pair *inputs; /* of conditions, where they are this access's own */
    size_t input_count;
    const char *decision;  /* "allow", "deny", "no-match" */
    const char *statement; /* deciding statement, NULL when none */
    const char *grant;     /* deciding grant, NULL when none */
};

/* What became of an item of a batch. Items in a row that are alike are written as one. */
struct kms_audit_item {
    uint16_t access_count; /* 0: it failed before policy was asked */
    uint16_t access[2];    /* where they stand in the batch's list; ReEncrypt has two: source, destination */
    uint32_t key_version[2]; /* 0: not known */
    kms_err outcome;
};

/* A batch: its decisions, each distinct one once, and its items in their order. */
struct kms_audit_batch {
    const struct kms_audit_access *access;
    size_t access_count; /* up to KMS_AUDIT_BATCH_ACCESSES */
    const struct kms_audit_item *items;
    size_t item_count; /* up to KMS_AUDIT_ITEMS */
};

enum {
    KMS_AUDIT_ACCESSES = 4,
    KMS_AUDIT_EXTRAS = 12,
    KMS_AUDIT_ITEMS = 256,
    KMS_AUDIT_BATCH_ACCESSES = 512,
    KMS_AUDIT_BATCH_PAIRS = 1024, /* of encryption context in a batch */
    KMS_AUDIT_RECORD_BYTES =
        48 * 1024, /* a line with its line feed; longer texts are shortened, and the record says so */
    KMS_AUDIT_LINE_BYTES = 384 * 1024, /* the same of a batch, so the longest of all */
    KMS_AUDIT_OPEN_ATTEMPTS = 96,      /* attempts without outcome at one time: admin threads and streams */
};

/* Everything a record can say. All pointers borrowed for the call to append. NULL, 0 and empty are left out.
 */
struct kms_audit_event {
    enum kms_audit_kind kind;
    struct kms_id request_id;
    const char *principal, *principal_source; /* "mtls-uri", "mtls-cn", "unix" */
    const char *peer;                         /* "ipv4:127.0.0.1:40512", "unix:uid=1000,pid=812" */
    const char *service, *operation, *class;  /* "kms.v1.CryptoService", "Decrypt", "usage" */
    const char *protocol;                     /* "sops"; NULL: kmsd's own */
    struct kms_audit_access access[KMS_AUDIT_ACCESSES];
    size_t access_count;
    const struct kms_audit_pair *inputs; /* of conditions, the same for every access */
    size_t input_count;
    bool cut;                            /* some inputs are missing: the record says that it was shortened */
    const struct kms_audit_batch *batch; /* in place of access */
    kms_err outcome;                     /* written as its reason; not in attempts */
    const char *detail;                  /* the words of the error; never a secret */
    const char *stage;       /* the last station reached: "authn", "gather", "decide", "act", ... */
    uint64_t started_us;     /* wall clock; the record says it as its own time less latency_us */
    struct kms_bytes client; /* user agent, correlation id: from outside, escaped */
    struct kms_bytes correlation_id;
    bool has_mark; /* the keystore after an admin change */
    uint64_t store_revision;
    uint8_t store_digest[KMS_DIGEST_BYTES];
    uint64_t count;                                /* SUPPRESSED: calls */
    struct kms_audit_pair extra[KMS_AUDIT_EXTRAS]; /* SERVICE, RECOVERY: what happened */
    size_t extra_count;
    const struct kms_audit_signed_head *head; /* HEAD */
};

struct kms_audit_options {
    const char *dir, *instance; /* the directory exists; instance: [a-z0-9-], at most 32 bytes */
    uint64_t segment_bytes;     /* preallocated size of a file, a multiple of 4096, 64 KiB .. 1 TiB; above
                                 * KMS_AUDIT_LINE_BYTES for batches */
    uint64_t warn_free_bytes;   /* with less than so much free it is said (troubles); 0: never */
    uint64_t refuse_free_bytes; /* and with less than so much, calls are refused; 0: when the disk is full */
    bool compress;              /* files that are closed (kmsd/audit/write/pack.h) */
    uint64_t segment_age_us;    /* so long after its first record a file is closed; 0: only when it is full */
    bool cached; /* a commit is durable when the kernel has it: survives the death of the process, not that of
                  * the machine (audit.durability = os) */
};

typedef struct kms_audit kms_audit;

/* Opens the chain of this instance and goes on in a new segment where it ended: reads the newest segment,
 * recognises a torn last line and closes it with a recovery record. Errors: INVALID_ARGUMENT (options),
 * AUDIT_UNAVAILABLE (why: file and cause; also when another process writes this log), CORRUPT (the newest
 * segment is damaged; why: file and line). */
KMS_MUST_USE kms_err kms_audit_open(const struct kms_audit_options *options, kms_audit **ret_audit,
                                    struct kms_why *why);

/* What the end of the log said when it was opened, for start-up: attempts without outcome (borrowed, fixed
 * until close). */
struct kms_audit_open_attempt {
    struct kms_id request_id;
    char operation[64];
};
size_t kms_audit_open_attempts(const kms_audit *audit, const struct kms_audit_open_attempt **ret_attempts);
/* The newest keystore mark that is durable, at start-up and later. False: none yet. */
bool kms_audit_last_mark(const kms_audit *audit, uint64_t *ret_revision,
                         uint8_t ret_digest[KMS_DIGEST_BYTES]);

/* Adds a record to the batch. LIMIT_EXCEEDED: KMS_AUDIT_OPEN_ATTEMPTS are open and this is one more, or no
 * file is long enough for it.
 * INVALID_ARGUMENT: an attempt without request id, or a revision above INT64_MAX. AUDIT_UNAVAILABLE: a
 * batch that outgrew its room (4 MiB, or a segment) could not be committed ahead of time; the commit then
 * fails too, and begins a new batch, so call it. Or space is short: then only this record is refused, which
 * is of a call or of an attempt that is not the service's own. */
KMS_MUST_USE kms_err kms_audit_append(kms_audit *audit, const struct kms_audit_event *event);
/* Makes the batch durable; nothing to do is success. AUDIT_UNAVAILABLE: none of the batch counts as
 * written, the batch is gone, and the next commit tries again with a new file. (All of it must be failed;
 * some of it may be found in the log nevertheless, when the process dies before that next commit or the
 * batch had outgrown its room.) */
KMS_MUST_USE kms_err kms_audit_commit(kms_audit *audit);

/* What is due now and then rather than at a commit; call it every second, between commits. Goes on in a new
 * file when the current one is old enough, when somebody asked, or when the current one is no longer in its
 * place (removed, replaced: then at once). Looks how much space is left. What goes wrong here is trouble, not
 * failure: the current file goes on being written, and the next call tries again. */
void kms_audit_tend(kms_audit *audit);
/* Asks for a new file: the next calls of tend close the current one in good order and go on in another. */
void kms_audit_ask_new_file(kms_audit *audit);

/* The last durable record. */
void kms_audit_head(const kms_audit *audit, uint64_t *ret_sequence,
                    char ret_hash_hex[2 * KMS_DIGEST_BYTES + 1]);
uint32_t kms_audit_file(const kms_audit *audit); /* number of the file that holds it; the writer's thread */
bool kms_audit_writable(const kms_audit *audit); /* the last commit succeeded */
/* What went wrong at the last commit that failed, for the operator: file and cause. Empty: none failed. */
void kms_audit_trouble(const kms_audit *audit, struct kms_why *ret_why);
/* All that an operator should know now, in words; empty where nothing is wrong. */
enum kms_audit_trouble {
    KMS_AUDIT_TROUBLE_WRITE, /* nothing can be written: no call is answered */
    KMS_AUDIT_TROUBLE_NEXT,  /* the next file cannot be made ready */
    KMS_AUDIT_TROUBLE_LOST, /* since this process started, a file was removed or replaced while it was written
                              */
    KMS_AUDIT_TROUBLE_SPACE, /* the disk fills up */
    KMS_AUDIT_TROUBLE_PACK,  /* a closed file cannot be compressed */
    KMS_AUDIT_TROUBLES
};
void kms_audit_troubles(const kms_audit *audit, struct kms_why ret_whys[KMS_AUDIT_TROUBLES]);
void kms_audit_close(kms_audit *audit); /* commits, truncates the NULs away; NULL is a no-op */
void kms_audit_drop(kms_audit **audit);

#endif
