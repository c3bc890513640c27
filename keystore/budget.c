/*
 * Encryption budgets: how many encryptions of a key version have been handed out, in blocks, durably.
 *
 * They change on the crypto lane, where no audit record carries a mark, so they have a sum of their own
 * beside that of the rows. One budget put back to an older self is found; so is putting back all of them to a
 * moment before the last apply. All of them together, with the totals, put back to a moment since the last
 * apply, is not found at start.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/wire.h"
#include "keystore/change.h"

enum { BUDGET_BODY_BYTES = 8, BUDGET_ID_BYTES = KMS_ID_TEXT + 9 /* "KEYID/00000001" and NUL */ };

struct steps {
    char id[BUDGET_ID_BYTES];
    uint64_t want, budget, granted, left;
};

static kms_err reserve_steps(kms_keystore *store, struct kms_totals *totals, void *user, struct kms_why *why)
{
    struct steps *r = user;
    struct kms_old_row old;
    uint8_t body[BUDGET_BODY_BYTES];
    KMS_TRY(kms_change_find(store, KMS_TABLE_BUDGET, r->id, &old, why));
    if (old.number >= r->budget) {
        kms_why_set(why, "key version %s: all %" PRIu64 " encryptions are taken: rotate the key", r->id,
                    r->budget);
        return KMS_FAIL(KEY_BUDGET_EXHAUSTED);
    }
    uint64_t left = r->budget - old.number;
    r->granted = r->want < left ? r->want : left;
    r->left = left - r->granted;
    struct kms_writer w = kms_writer_over(body, sizeof body);
    kms_put_u64(&w, old.number + r->granted);
    struct kms_stored_row row = {
        .table = KMS_TABLE_BUDGET, .id = r->id, .body = kms_bytes_of(body, sizeof body)};
    totals->budget_revision++;
    return kms_change_put(store, &old, &row, &totals->budgets, why);
}

kms_err kms_keystore_reserve(kms_keystore *store, const struct kms_reservation *wanted, uint64_t *ret_granted,
                             struct kms_why *why)
{
    struct steps steps = {.want = wanted->want, .budget = wanted->budget};
    char key[KMS_ID_TEXT];
    if (wanted->want == 0) {
        kms_why_set(why, "a reservation is for one encryption at least");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    kms_id_text(wanted->key_id, key);
    snprintf(steps.id, sizeof steps.id, "%s/%08" PRIx32, key, wanted->version);
    KMS_HOLD(store);
    KMS_TRY(kms_change_run(store, reserve_steps, &steps, why));
    *ret_granted = steps.granted;
    if (wanted->ret_left != NULL) *wanted->ret_left = steps.left;
    return KMS_OK;
}
