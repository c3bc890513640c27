/*
 * kms_ledger: who used which key version, how often, and when: counts by operation, first and last use, last
 * principals. Every acknowledged use is in the audit log, so the ledger is exact: a stored entry says up to
 * which record it has counted, and after a crash the rest is counted again from the log. Thread-safe.
 */
#ifndef KMS_KEYS_LEDGER_H
#define KMS_KEYS_LEDGER_H

#include "base/id.h"
#include "keystore/keystore.h"
#include "kmsd/policy/policy.h"

enum {
    KMS_LEDGER_ACTIONS = 8,    /* kinds of use that one key can see (those of a symmetric key) */
    KMS_LEDGER_PRINCIPALS = 8, /* remembered, the latest first */
    KMS_LEDGER_PRINCIPAL_BYTES = 512,
};
#define KMS_LEDGER_CHECKPOINT "checkpoint" /* row whose sequence all entries have reached */

struct kms_usage_principal {
    char name[KMS_LEDGER_PRINCIPAL_BYTES];
    uint64_t last_us;
};
struct kms_usage {
    struct kms_id key_id;
    uint32_t version;
    uint64_t revision;          /* of its row; 0: not stored yet */
    uint64_t loaded;            /* audit record up to which its row had counted when it was read */
    uint64_t first_us, last_us; /* of the records; 0: never */
    struct kms_usage_count {
        enum kms_action action;
        uint64_t count;
    } counts[KMS_LEDGER_ACTIONS];
    size_t action_count;
    struct kms_usage_principal *principals; /* latest first; the caller's */
    size_t principal_count;
};

typedef struct kms_ledger kms_ledger;
KMS_MUST_USE kms_err kms_ledger_new(kms_ledger **ret_ledger);
void kms_ledger_free(kms_ledger *ledger); /* NULL is a no-op */

struct kms_ledger_use {
    const struct kms_id *key_id;
    uint32_t version;
    enum kms_action action;
    const char *principal;
    uint64_t at_us, times;
    uint64_t sequence; /* of its record; 0: newer than anything that was read */
};
/* One commit's uses are counted together: hold, add each, release with the sequence of the last record. */
void kms_ledger_hold(kms_ledger *ledger);
/* Unless its record was counted when the row was stored. When memory runs out the ledger takes no more
 * checkpoints, so that the next start counts again. */
void kms_ledger_add(kms_ledger *ledger, const struct kms_ledger_use *use);
void kms_ledger_release(kms_ledger *ledger, uint64_t sequence);

/* A copy; its principals go to `principals` (room for KMS_LEDGER_PRINCIPALS), or nowhere when that is NULL.
 * False: never used. */
bool kms_ledger_find(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version,
                     struct kms_usage *ret_usage, struct kms_usage_principal *principals);

/* ---- rows ---- */
KMS_MUST_USE kms_err kms_ledger_load(kms_ledger *ledger, const struct kms_row *row, struct kms_why *why);
uint64_t
kms_ledger_loaded(kms_ledger *ledger); /* the checkpoint's sequence: count the log from the next one */
/* All uses up to this record are in the keystore: older ones are not counted again after a restart. */
uint64_t kms_ledger_stored(kms_ledger *ledger);
/* The log ends before what was counted, so it is another one: all of it counts. */
void kms_ledger_forget_loaded(kms_ledger *ledger);

/* A row to store. One thread at a time takes rows, stores them, and says so. */
struct kms_ledger_row {
    char id[KMS_ID_TEXT + 9]; /* "KEYID/0000000a", or KMS_LEDGER_CHECKPOINT as the last one */
    uint64_t revision;        /* before; counted up by whoever stores it */
    kms_buf body;             /* owned by whoever took it */
    struct kms_id key_id;
    uint32_t version; /* 0: the checkpoint's row */
};
/* What has changed since it was last stored, at most cap - 1 entries; the rest stays for the next time. The
 * checkpoint's row is among them when nothing was left. NO_MEMORY: nothing is taken. */
KMS_MUST_USE kms_err kms_ledger_take(kms_ledger *ledger, struct kms_ledger_row *rows, size_t cap,
                                     size_t *ret_count);
/* They are stored, or not: then they count as changed still. Frees their bodies. */
void kms_ledger_taken(kms_ledger *ledger, struct kms_ledger_row *rows, size_t count, bool stored);
bool kms_ledger_dirty(kms_ledger *ledger);

/* The key is deleted. Same thread as take. */
void kms_ledger_drop(kms_ledger *ledger, const struct kms_id *key_id, uint32_t version);

#endif
