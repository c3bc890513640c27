/*
 * kms_keystore: the state that must survive: keys, key versions, aliases, idempotency tokens, as sealed rows.
 *
 * A row is (table, id, revision, body) and a seal, an HMAC over all four under a key that only the HSM can open. A row
 * that was edited, moved to another id, or replaced by an older self is found: the seal covers the row, and the
 * digest over all live rows (struct kms_store_mark), kept in every admin audit record, covers the set.
 * Bodies are messages of keystore/record.proto. Back ends: keystore/sqlite. One contract test runs over all of them.
 *
 * Threads: apply, reserve and scan may be called by any thread; changes are serialised inside. Callers never hold
 * a lock of their own across a call. Blocks on disk: never on an rpc thread.
 */
#ifndef KMS_KEYSTORE_KEYSTORE_H
#define KMS_KEYSTORE_KEYSTORE_H

#include "base/bytes.h"
#include "base/digest.h"
#include "base/id.h"

/* Values are sealed into rows: append only. */
enum kms_table {
    KMS_TABLE_KEY = 1,     /* id: key id as text            body: StoredKey */
    KMS_TABLE_KEY_VERSION, /* id: "KEYID/00000001"          body: StoredKeyVersion */
    KMS_TABLE_ALIAS,       /* id: "alias/NAME"              body: StoredAlias (live or tombstone) */
    KMS_TABLE_TOKEN,       /* id: principal digest + token  body: StoredToken */
    KMS_TABLE_COUNT
};
enum { KMS_ROW_ID_BYTES = 300, KMS_ROW_BODY_BYTES = 256 * 1024 };

struct kms_row {
    enum kms_table table;
    const char *id;        /* at most KMS_ROW_ID_BYTES - 1 bytes */
    uint64_t revision;     /* from 1, grows by one with each change of this row */
    struct kms_bytes body; /* borrowed */
};

/* One step of a change. expected_revision: 0 for a row that must not exist yet, else the revision that is replaced
 * or deleted. */
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
    uint8_t digest[KMS_DIGEST_BYTES]; /* keyed, over all live rows and the revision */
};

typedef struct kms_keystore kms_keystore;

/* seal_key: 32 bytes, copied into locked memory. Checks nothing but the schema; kms_keystore_verify reads the rows.
 * The file is made when missing if create. Errors: KEYSTORE_UNAVAILABLE (locked, read-only, no such directory; why
 * says which), SCHEMA_TOO_NEW, CORRUPT (not a database), NO_MEMORY. */
KMS_MUST_USE kms_err kms_keystore_open_sqlite(const char *path, bool create, kms_keystore **ret_store, struct kms_why *why);

/* The sealed store key (opaque, from the HSM) lies beside the rows, unsealed by nothing but the HSM. Empty when none. */
KMS_MUST_USE kms_err kms_keystore_sealed_key(kms_keystore *store, kms_buf *ret_sealed, struct kms_why *why);
/* Stores it, once; ALREADY_EXISTS when there is one. */
KMS_MUST_USE kms_err kms_keystore_set_sealed_key(kms_keystore *store, struct kms_bytes sealed, struct kms_why *why);
/* Hands over the opened store key: everything below works only after this. Copied into locked memory. */
KMS_MUST_USE kms_err kms_keystore_unlock(kms_keystore *store, struct kms_bytes seal_key);

/* Every live row of a table by ascending id, from the first id greater than after ("" for the first), at most limit
 * (0: all). Each row's seal is checked: CORRUPT with table and id in why. visit may stop early by returning an error,
 * which is then returned. */
typedef kms_err kms_row_visit(void *user, const struct kms_row *row);
KMS_MUST_USE kms_err kms_keystore_scan(kms_keystore *store, enum kms_table table, const char *after, size_t limit,
                                       kms_row_visit *visit, void *user, struct kms_why *why);
/* One row, seal checked, copied into ret_body (empty it first). NOT_FOUND. */
KMS_MUST_USE kms_err kms_keystore_get(kms_keystore *store, enum kms_table table, const char *id, uint64_t *ret_revision,
                                      kms_buf *ret_body, struct kms_why *why);

/* Reads every row and seal, and computes the mark anew: once at start, before apply. CORRUPT names the first bad row. */
KMS_MUST_USE kms_err kms_keystore_verify(kms_keystore *store, struct kms_store_mark *ret_mark, struct kms_why *why);

/* All changes or none, in one durable transaction that also stores request_id. Errors: CONFLICT (a revision differs or
 * the row exists), NOT_FOUND (to erase), KEYSTORE_UNAVAILABLE, LIMIT_EXCEEDED (too long). */
KMS_MUST_USE kms_err kms_keystore_apply(kms_keystore *store, const struct kms_id *request_id, const struct kms_change *changes,
                                        size_t count, struct kms_store_mark *ret_mark, struct kms_why *why);
/* Did apply with this request id commit? For closing dangling audit attempts after a crash. Ids are kept 30 days. */
KMS_MUST_USE kms_err kms_keystore_committed(kms_keystore *store, const struct kms_id *request_id, bool *ret_committed,
                                            struct kms_why *why);

/* Takes up to want encryptions from the budget of a key version (2^32 in all, NIST SP 800-38D section 8.3, counted
 * across restarts and replicas; lost blocks count as used). KEY_BUDGET_EXHAUSTED when none is left. */
KMS_MUST_USE kms_err kms_keystore_reserve(kms_keystore *store, const struct kms_id *key_id, uint32_t version, uint64_t want,
                                          uint64_t budget, uint64_t *ret_granted, struct kms_why *why);

void kms_keystore_mark(kms_keystore *store, struct kms_store_mark *ret_mark); /* the latest; thread-safe */
void kms_keystore_close(kms_keystore *store);                                 /* NULL is a no-op */
void kms_keystore_drop(kms_keystore **store);

#endif
