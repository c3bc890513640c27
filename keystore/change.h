/*
 * A change: one durable transaction that moves rows and the totals on together. Private to keystore/; all
 * functions are called with the lock held and fill why.
 */
#ifndef KMS_KEYSTORE_CHANGE_H
#define KMS_KEYSTORE_CHANGE_H

#include "keystore/front.h"

/* What happens between reading and writing the totals. */
typedef kms_err kms_change_steps(kms_keystore *store, struct kms_totals *totals, void *user,
                                 struct kms_why *why);
/* begin, totals, steps, totals, commit; rolled back when anything fails. */
KMS_MUST_USE kms_err kms_change_run(kms_keystore *store, kms_change_steps *steps, void *user,
                                    struct kms_why *why);

/* A row as it was before its change; its seal has been checked. */
struct kms_old_row {
    kms_keystore *store;
    struct kms_why *why;
    bool found;
    struct kms_stored_row row; /* without id and body: the seal stands for them */
    uint64_t number;           /* the first 8 bytes of the body: what a request or budget row holds */
};
/* found is false when there is none. */
KMS_MUST_USE kms_err kms_change_find(kms_keystore *store, uint32_t table, const char *id,
                                     struct kms_old_row *ret_old, struct kms_why *why);
/* A kms_stored_visit; user is a kms_old_row with store and why set. */
KMS_MUST_USE kms_err kms_change_take(void *user, const struct kms_stored_row *row);

/* Writes row in the place of old (which may be nothing) with the next revision and a new seal, and moves sum
 * on. */
KMS_MUST_USE kms_err kms_change_put(kms_keystore *store, const struct kms_old_row *old,
                                    struct kms_stored_row *row, struct kms_sum *sum, struct kms_why *why);
/* Removes old, if there is one, and moves sum on. */
KMS_MUST_USE kms_err kms_change_erase(kms_keystore *store, const struct kms_old_row *old, uint32_t table,
                                      const char *id, struct kms_sum *sum, struct kms_why *why);

#endif
