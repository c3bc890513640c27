/* What the parts of the front share: the store, its lock, and the checks that every read of a row goes
 * through. Private. */
#ifndef KMS_KEYSTORE_FRONT_H
#define KMS_KEYSTORE_FRONT_H

#include <pthread.h>

#include "keystore/seal.h"

/* Tables of the front's own. Sealed into rows: never change one. */
enum {
    KMS_TABLE_REQUEST = 1000, /* id: request id as text   body: u64 applied_us, u64 store revision */
    KMS_TABLE_BUDGET = 1001,  /* id: "KEYID/00000001"     body: u64 encryptions reserved */
};

struct kms_keystore {
    pthread_mutex_t lock; /* everything below, and every call of the back end */
    const struct kms_backend *backend;
    void *self;
    kms_sealer *sealer;       /* NULL until unlocked */
    struct kms_totals totals; /* as last seen in the database; it may only move on from there */
    struct kms_store_mark mark;
    char prune_after[KMS_ID_TEXT]; /* the request id up to which old ones were looked for */
};

/* KMS_HOLD(store); keeps the lock to the end of the scope. */
kms_keystore *kms_front_hold(kms_keystore *store);
void kms_front_release(kms_keystore **store);
#define KMS_HOLD(store)                                                                                      \
    __attribute__((cleanup(kms_front_release), unused)) kms_keystore *held_ = kms_front_hold(store)

/* All below are called with the lock held, and fill why. */

/* KEYSTORE_UNAVAILABLE before unlock. */
KMS_MUST_USE kms_err kms_front_ready(const kms_keystore *store, struct kms_why *why);
/* The totals in the database; zeros when it is new. CORRUPT, ROLLBACK_DETECTED (they went back meanwhile). */
KMS_MUST_USE kms_err kms_front_totals(kms_keystore *store, struct kms_totals *ret_totals,
                                      struct kms_why *why);
KMS_MUST_USE kms_err kms_front_put_totals(kms_keystore *store, const struct kms_totals *totals,
                                          struct kms_why *why);
/* Is this row what was sealed? CORRUPT naming table and id. */
KMS_MUST_USE kms_err kms_front_check(kms_keystore *store, const struct kms_stored_row *row,
                                     struct kms_why *why);

const char *kms_table_name(uint32_t table);
/* These need no lock. INVALID_ARGUMENT (no such table; empty, not UTF-8), LIMIT_EXCEEDED (too long). */
KMS_MUST_USE kms_err kms_front_check_table(enum kms_table table, struct kms_why *why);
KMS_MUST_USE kms_err kms_front_check_id(enum kms_table table, const char *id, struct kms_why *why);

#endif
