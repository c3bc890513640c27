/* Rows and totals move together, in one durable transaction. */
#include "keystore/change.h"

#include "base/wire.h"

static uint64_t first_number(struct kms_bytes body)
{
    struct kms_reader r = kms_reader_over(body);
    return kms_get_u64(&r);
}

kms_err kms_change_take(void *user, const struct kms_stored_row *row)
{
    struct kms_old_row *old = user;
    KMS_TRY(kms_front_check(old->store, row, old->why));
    old->found = true;
    old->row = *row;
    old->row.id = NULL;
    old->row.body = (struct kms_bytes){0}; /* borrowed no longer */
    old->number = first_number(row->body);
    return KMS_OK;
}

kms_err kms_change_find(kms_keystore *store, uint32_t table, const char *id, struct kms_old_row *ret_old,
                        struct kms_why *why)
{
    struct kms_old_row old = {.store = store, .why = why};
    struct kms_row_sink sink = {kms_change_take, &old};
    kms_err err = store->backend->get(store->self, table, id, &sink, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_NOT_FOUND)) return err;
    *ret_old = old;
    return KMS_OK;
}

kms_err kms_change_put(kms_keystore *store, const struct kms_old_row *old, struct kms_stored_row *row,
                       struct kms_sum *sum, struct kms_why *why)
{
    row->revision = old->found ? old->row.revision + 1 : 1;
    KMS_TRY(kms_seal_row(store->sealer, row));
    if (old->found) KMS_TRY(kms_sum_subtract(store->sealer, &old->row, sum));
    KMS_TRY(kms_sum_add(store->sealer, row, sum));
    return store->backend->put(store->self, row, why);
}

kms_err kms_change_erase(kms_keystore *store, const struct kms_old_row *old, uint32_t table, const char *id,
                         struct kms_sum *sum, struct kms_why *why)
{
    if (!old->found) return KMS_OK;
    KMS_TRY(kms_sum_subtract(store->sealer, &old->row, sum));
    return store->backend->erase(store->self, table, id, why);
}

static kms_err run_steps(kms_keystore *store, kms_change_steps *steps, void *user, struct kms_why *why)
{
    struct kms_totals totals;
    struct kms_store_mark mark;
    KMS_TRY(kms_front_totals(store, &totals, why));
    KMS_TRY(steps(store, &totals, user, why));
    KMS_TRY(kms_totals_mark(store->sealer, &totals, &mark));
    KMS_TRY(kms_front_put_totals(store, &totals, why));
    KMS_TRY(store->backend->commit(store->self, why)); /* nothing may fail after this */
    store->totals = totals;
    store->mark = mark;
    return KMS_OK;
}

kms_err kms_change_run(kms_keystore *store, kms_change_steps *steps, void *user, struct kms_why *why)
{
    KMS_TRY(kms_front_ready(store, why));
    KMS_TRY(store->backend->begin(store->self, true, why));
    kms_err err = run_steps(store, steps, user, why);
    if (kms_failed(err)) store->backend->rollback(store->self);
    return err;
}
