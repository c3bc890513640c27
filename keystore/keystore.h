/*
 * kms_keystore: the state that must survive: keys, key versions, aliases, idempotency tokens, as sealed rows.
 *
 * A row is (table, id, revision, body) and a seal, an HMAC over all four under a key that only the HSM can
 * open. A row that was edited or moved to another id is found by its seal; one that was removed, or replaced
 * by an older self, by the digest over all live rows (struct kms_store_mark): it is stored with the rows, and
 * kept in every admin audit record, which also tells an older or another whole database. Bodies are messages
 * of keystore/record.proto. Back ends: keystore/sqlite. One contract test runs over all of them
 * (tests/contract/keystore_contract.c).
 *
 * In order: open, sealed_key (or set_sealed_key), unlock, load or verify, then the rest.
 *
 * Threads: any, once open has returned and until close; calls take turns inside. Callers hold no lock of
 * their own across a call, but such as is for changes alone. Blocks on disk: never on an rpc thread.
 *
 * Errors of every function, beside its own: KEYSTORE_UNAVAILABLE (the database is locked, read-only, full or
 * does not answer, or the store is not unlocked), CORRUPT, INVALID_ARGUMENT and LIMIT_EXCEEDED (arguments out
 * of bounds), NO_MEMORY, INTERNAL. After KEYSTORE_UNAVAILABLE from a change the change is undone, but if the
 * machine dies before the next one it may come back: kms_keystore_committed tells.
 */
#ifndef KMS_KEYSTORE_KEYSTORE_H
#define KMS_KEYSTORE_KEYSTORE_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/id.h"

/* Values are sealed into rows: append only. */
enum kms_table {
    KMS_TABLE_KEY = 1,       /* id: key id as text            body: StoredKey */
    KMS_TABLE_KEY_VERSION,   /* id: "KEYID/0000000a": version as 8 hex digits   body: StoredKeyVersion */
    KMS_TABLE_ALIAS,         /* id: "alias/NAME"              body: StoredAlias (live or tombstone) */
    KMS_TABLE_TOKEN,         /* id: principal digest + token  body: StoredToken */
    KMS_TABLE_GRANT,         /* id: "KEYID/GRANTID"           body: StoredGrant */
    KMS_TABLE_APPROVAL,      /* id: approval id               body: StoredApproval */
    KMS_TABLE_USAGE,         /* id: "KEYID/0000000a", ""      body: StoredUsage (kmsd/keys/ledger.h) */
    KMS_TABLE_IMPORT,        /* id: key id                    body: StoredImport */
    KMS_TABLE_TOMBSTONE,     /* id: key id                    body: StoredTombstone */
    KMS_TABLE_SECRET,        /* id: SHA-256 of its name, hex  body: StoredSecret */
    KMS_TABLE_SECRET_VALUE,  /* id: "SECRETROW/VERSIONID"    body: StoredSecretValue */
    KMS_TABLE_DATABASE_ROLE, /* id: SHA-256 of its name, hex body: StoredDatabaseRole */
    KMS_TABLE_LEASE,         /* id: letters                 body: StoredLease */
    KMS_TABLE_READ_DAY,      /* id: row of a secret         body: StoredSecretReadDay */
    KMS_TABLE_COUNT
};
enum {
    KMS_ROW_ID_BYTES = 300,          /* with the NUL; an id is UTF-8 and not empty */
    KMS_ROW_BODY_BYTES = 256 * 1024, /* longest body */
    KMS_CHANGES_MAX = 65536,         /* steps of one apply */
};

struct kms_row {
    enum kms_table table;
    const char *id;        /* at most KMS_ROW_ID_BYTES - 1 bytes */
    uint64_t revision;     /* from 1, grows by one with each change of this row */
    struct kms_bytes body; /* borrowed */
};

/* One step of a change. expected_revision: 0 for a row that must not exist yet, else the revision that is
 * replaced or deleted. */
struct kms_change {
    enum kms_table table;
    const char *id;
    uint64_t expected_revision;
    bool erase;
    struct kms_bytes body;
};

/* Where the store stands: part of every admin outcome record. */
struct kms_store_mark {
    uint64_t revision;                /* grows by one with every apply */
    uint8_t digest[KMS_DIGEST_BYTES]; /* keyed, over all live rows (not the budgets) and the revision */
};

typedef struct kms_keystore kms_keystore;

/* Opens a SQLite file and brings it to this release's schema. create: makes the file (mode 0600) when it is
 * missing. Reads no row: load and verify do. Errors: KEYSTORE_UNAVAILABLE (locked, read-only, no such file or
 * directory; why says which), SCHEMA_TOO_NEW (why has both numbers), CORRUPT (not a database, another
 * program's, or an empty one). */
KMS_MUST_USE kms_err kms_keystore_open_sqlite(const char *path, bool create, kms_keystore **ret_store,
                                              struct kms_why *why);

/* The sealed store key (opaque, from the HSM) lies beside the rows, unsealed by nothing but the HSM. Empty
 * when none. */
KMS_MUST_USE kms_err kms_keystore_sealed_key(kms_keystore *store, kms_buf *ret_sealed, struct kms_why *why);
/* Stores it, once; ALREADY_EXISTS when there is one. */
KMS_MUST_USE kms_err kms_keystore_set_sealed_key(kms_keystore *store, struct kms_bytes sealed,
                                                 struct kms_why *why);
/* Puts the same key, sealed anew, in the place of `before`; CONFLICT when that is not what lies there. */
KMS_MUST_USE kms_err kms_keystore_move_sealed_key(kms_keystore *store, struct kms_bytes before,
                                                  struct kms_bytes sealed, struct kms_why *why);
/* Hands over the opened store key, 32 bytes (else INVALID_ARGUMENT): everything below works only after this.
 * The caller wipes its own copy; what is kept are HMAC states prepared under keys derived from it, in memory
 * that OpenSSL wipes when the store is closed. A wrong key shows as CORRUPT at the first row. */
KMS_MUST_USE kms_err kms_keystore_unlock(kms_keystore *store, struct kms_bytes store_key);

/* Every live row of a table by ascending id (byte by byte), from the first id greater than after ("" for the
 * first). Each row's seal is checked: CORRUPT with table and id in why. Read in
 * pages, with no lock between them: visit may call the store, also to change it. visit may stop early by
 * returning an error, which is then returned. */
typedef kms_err kms_row_visit(void *user, const struct kms_row *row);
KMS_MUST_USE kms_err kms_keystore_scan(kms_keystore *store, enum kms_table table, const char *after,
                                       kms_row_visit *visit, void *user, struct kms_why *why);
/* One row, seal checked. Replaces what ret_body held. NOT_FOUND. */
KMS_MUST_USE kms_err kms_keystore_get(kms_keystore *store, enum kms_table table, const char *id,
                                      uint64_t *ret_revision, kms_buf *ret_body, struct kms_why *why);

/* Reads every row in one moment, checks each seal, and computes the digest anew: once at start, before the
 * first change. visit (NULL: none) gets every row, table by table in the order of enum kms_table, by
 * ascending id; it must not call the store, and an error from it ends the load. What it was given may be used
 * only after OK: CORRUPT names the first bad row, or says at the end that rows are missing or older.
 * ROLLBACK_DETECTED: older than what this process has seen. */
KMS_MUST_USE kms_err kms_keystore_load(kms_keystore *store, kms_row_visit *visit, void *user,
                                       struct kms_store_mark *ret_mark, struct kms_why *why);
/* The same without a visitor. */
KMS_MUST_USE kms_err kms_keystore_verify(kms_keystore *store, struct kms_store_mark *ret_mark,
                                         struct kms_why *why);

/* All changes or none, in one durable transaction that also stores request_id: one apply for each
 * request. Erasing a key version also erases its budget. Errors: CONFLICT (a revision differs, the row
 * exists or is gone), NOT_FOUND (to erase), ALREADY_EXISTS (this request id was applied before),
 * LIMIT_EXCEEDED (too long, too many), CORRUPT (a row to be replaced was edited), ROLLBACK_DETECTED (the
 * database went back under our hands). */
KMS_MUST_USE kms_err kms_keystore_apply(kms_keystore *store, const struct kms_id *request_id,
                                        const struct kms_change *changes, size_t count,
                                        struct kms_store_mark *ret_mark, struct kms_why *why);
/* Did apply with this request id commit? For closing dangling audit attempts after a crash. Ids are kept 30
 * days at least. */
KMS_MUST_USE kms_err kms_keystore_committed(kms_keystore *store, const struct kms_id *request_id,
                                            bool *ret_committed, struct kms_why *why);

/* What was erased or replaced is gone from the database's files too: the write-ahead log is emptied into
 * the database, which zeroes what it frees. KEYSTORE_UNAVAILABLE: a reader holds an old state. */
KMS_MUST_USE kms_err kms_keystore_scrub(kms_keystore *store, struct kms_why *why);

struct kms_reservation {
    const struct kms_id *key_id; /* borrowed */
    uint32_t version;
    uint64_t want, budget; /* encryptions: of this reservation, at least 1; of the version in all */
    uint64_t *ret_left;    /* what may still be reserved after it; NULL: nobody asks */
};
/* Takes up to want encryptions from the budget of a key version (2^32 in all, NIST SP 800-38D section 8.3,
 * counted across restarts and replicas; lost blocks count as used). KEY_BUDGET_EXHAUSTED when none is left.
 * Budgets are sealed and have a digest of their own, which no audit record carries: load finds one that was
 * put back, and all of them put back to a moment before the last apply, but not all of them put back to a
 * moment since then. */
KMS_MUST_USE kms_err kms_keystore_reserve(kms_keystore *store, const struct kms_reservation *wanted,
                                          uint64_t *ret_granted, struct kms_why *why);

/* The mark of the last load, verify or change; zeros before. */
void kms_keystore_mark(kms_keystore *store, struct kms_store_mark *ret_mark);
void kms_keystore_close(kms_keystore *store); /* NULL is a no-op */
void kms_keystore_drop(kms_keystore **store);

#endif
