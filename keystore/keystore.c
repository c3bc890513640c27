/* The front of the keystore: lifecycle, the store key, and the checks that all of its parts share. */
#include "keystore/keystore.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "keystore/front.h"

static const char totals_name[] = "totals", sealed_key_name[] = "sealed_key";
enum { SEALED_KEY_BYTES = 4096 }; /* longest: an HSM's answer is some hundred bytes */

kms_err kms_keystore_over(const struct kms_backend *backend, void *self, kms_keystore **ret_store)
{
    kms_keystore *store = calloc(1, sizeof *store);
    if (store == NULL) {
        backend->close(self);
        return KMS_FAIL(NO_MEMORY);
    }
    pthread_mutex_init(&store->lock, NULL); /* cannot fail with default attributes */
    store->backend = backend;
    store->self = self;
    *ret_store = store;
    return KMS_OK;
}

void kms_keystore_close(kms_keystore *store)
{
    if (store == NULL) return;
    store->backend->close(store->self);
    kms_sealer_free(store->sealer);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void kms_keystore_drop(kms_keystore **store)
{
    kms_keystore_close(*store);
}

kms_keystore *kms_front_hold(kms_keystore *store)
{
    pthread_mutex_lock(&store->lock);
    return store;
}

void kms_front_release(kms_keystore **store)
{
    pthread_mutex_unlock(&(*store)->lock);
}

kms_err kms_keystore_sealed_key(kms_keystore *store, kms_buf *ret_sealed, struct kms_why *why)
{
    KMS_HOLD(store);
    KMS_OWN_BUF sealed = {0};
    kms_err err = store->backend->value_get(store->self, sealed_key_name, &sealed, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_NOT_FOUND)) return err;
    return kms_buf_append(ret_sealed, sealed.data, sealed.len);
}

static kms_err store_key_once(kms_keystore *store, struct kms_bytes sealed, struct kms_why *why)
{
    KMS_OWN_BUF before = {0};
    kms_err err = store->backend->value_get(store->self, sealed_key_name, &before, why);
    if (!kms_failed(err)) {
        kms_why_set(why,
                    "the keystore has a sealed store key already; without it no row could be checked again");
        return KMS_FAIL(ALREADY_EXISTS);
    }
    if (!kms_is(err, KMS_E_NOT_FOUND)) return err;
    KMS_TRY(store->backend->value_put(store->self, sealed_key_name, sealed, why));
    return store->backend->commit(store->self, why);
}

static kms_err check_sealed(struct kms_bytes sealed, struct kms_why *why)
{
    if (sealed.len > 0 && sealed.len <= SEALED_KEY_BYTES) return KMS_OK;
    kms_why_set(why, "a sealed store key has 1 to %d bytes, not %zu", SEALED_KEY_BYTES, sealed.len);
    return sealed.len == 0 ? KMS_FAIL(INVALID_ARGUMENT) : KMS_FAIL(LIMIT_EXCEEDED);
}

kms_err kms_keystore_set_sealed_key(kms_keystore *store, struct kms_bytes sealed, struct kms_why *why)
{
    KMS_TRY(check_sealed(sealed, why));
    KMS_HOLD(store);
    KMS_TRY(store->backend->begin(store->self, true, why));
    kms_err err = store_key_once(store, sealed, why);
    if (kms_failed(err)) store->backend->rollback(store->self);
    return err;
}

static kms_err replace_key(kms_keystore *store, struct kms_bytes before, struct kms_bytes sealed,
                           struct kms_why *why)
{
    KMS_OWN_BUF found = {0};
    kms_err err = store->backend->value_get(store->self, sealed_key_name, &found, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_NOT_FOUND)) return err;
    if (!kms_bytes_equal(kms_buf_view(&found), before)) {
        kms_why_set(why, "the sealed store key is another one than that which was read");
        return KMS_FAIL(CONFLICT);
    }
    KMS_TRY(store->backend->value_put(store->self, sealed_key_name, sealed, why));
    return store->backend->commit(store->self, why);
}

kms_err kms_keystore_move_sealed_key(kms_keystore *store, struct kms_bytes before, struct kms_bytes sealed,
                                     struct kms_why *why)
{
    KMS_TRY(check_sealed(sealed, why));
    KMS_HOLD(store);
    KMS_TRY(kms_front_ready(store, why));
    KMS_TRY(store->backend->begin(store->self, true, why));
    kms_err err = replace_key(store, before, sealed, why);
    if (kms_failed(err)) store->backend->rollback(store->self);
    return err;
}

kms_err kms_keystore_unlock(kms_keystore *store, struct kms_bytes store_key)
{
    KMS_OWN(kms_sealer) sealer = NULL;
    struct kms_id start;
    KMS_TRY(kms_sealer_new(store_key, &sealer));
    KMS_TRY(kms_id_new(&start));
    KMS_HOLD(store);
    kms_id_text(&start, store->prune_after); /* anywhere, so that short-lived processes prune all over, too */
    kms_sealer_free(store->sealer);
    store->sealer = KMS_GIVE(sealer);
    return KMS_OK;
}

void kms_keystore_mark(kms_keystore *store, struct kms_store_mark *ret_mark)
{
    KMS_HOLD(store);
    *ret_mark = store->mark;
}

kms_err kms_front_ready(const kms_keystore *store, struct kms_why *why)
{
    if (store->sealer != NULL) return KMS_OK;
    kms_why_set(why, "the keystore is not unlocked: the HSM has not opened its store key yet");
    return KMS_FAIL(KEYSTORE_UNAVAILABLE);
}

/* The same revision with another sum is another history. */
static bool goes_back(const struct kms_totals *seen, const struct kms_totals *found)
{
    if (found->revision < seen->revision || found->budget_revision < seen->budget_revision) return true;
    bool rows_differ = found->revision == seen->revision && !kms_sum_equal(&found->rows, &seen->rows);
    return rows_differ ||
           (found->revision == seen->revision && found->budget_revision == seen->budget_revision &&
            !kms_sum_equal(&found->budgets, &seen->budgets));
}

kms_err kms_front_totals(kms_keystore *store, struct kms_totals *ret_totals, struct kms_why *why)
{
    KMS_OWN_BUF record = {0};
    struct kms_totals totals = {0};
    kms_err err = store->backend->value_get(store->self, totals_name, &record, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_NOT_FOUND)) return err; /* none: nothing was ever applied */
    if (!kms_failed(err)) {
        err = kms_totals_read(store->sealer, kms_buf_view(&record), &totals);
        if (kms_failed(err))
            kms_why_set(why, "the seal of the keystore's totals is wrong: edited, or another store key");
        KMS_TRY(err);
    }
    if (goes_back(&store->totals, &totals)) {
        kms_why_set(
            why,
            "the keystore went back from revision %llu to %llu while in use: it was replaced by another copy",
            (unsigned long long)store->totals.revision, (unsigned long long)totals.revision);
        return KMS_FAIL(ROLLBACK_DETECTED);
    }
    *ret_totals = totals;
    return KMS_OK;
}

kms_err kms_front_put_totals(kms_keystore *store, const struct kms_totals *totals, struct kms_why *why)
{
    uint8_t record[KMS_TOTALS_BYTES];
    KMS_TRY(kms_totals_write(store->sealer, totals, record));
    return store->backend->value_put(store->self, totals_name, kms_bytes_of(record, sizeof record), why);
}

kms_err kms_front_check(kms_keystore *store, const struct kms_stored_row *row, struct kms_why *why)
{
    kms_err err = kms_seal_check(store->sealer, row);
    if (kms_is(err, KMS_E_CORRUPT))
        kms_why_set(
            why,
            "%s row %s: the seal is wrong: the row was edited or moved, or sealed under another store key",
            kms_table_name(row->table), row->id);
    return err;
}

const char *kms_table_name(uint32_t table)
{
    switch (table) {
    case KMS_TABLE_KEY:
        return "key";
    case KMS_TABLE_KEY_VERSION:
        return "key version";
    case KMS_TABLE_ALIAS:
        return "alias";
    case KMS_TABLE_TOKEN:
        return "token";
    case KMS_TABLE_GRANT:
        return "grant";
    case KMS_TABLE_APPROVAL:
        return "approval";
    case KMS_TABLE_USAGE:
        return "usage";
    case KMS_TABLE_IMPORT:
        return "import";
    case KMS_TABLE_TOMBSTONE:
        return "tombstone";
    case KMS_TABLE_SECRET:
        return "secret";
    case KMS_TABLE_SECRET_VALUE:
        return "secret value";
    case KMS_TABLE_DATABASE_ROLE:
        return "database role";
    case KMS_TABLE_LEASE:
        return "lease";
    case KMS_TABLE_READ_DAY:
        return "day of a secret";
    case KMS_TABLE_REQUEST:
        return "request";
    case KMS_TABLE_BUDGET:
        return "budget";
    default:
        return "unknown";
    }
}

kms_err kms_front_check_table(enum kms_table table, struct kms_why *why)
{
    if (table >= KMS_TABLE_KEY && table < KMS_TABLE_COUNT) return KMS_OK;
    kms_why_set(why, "no table %d in the keystore", (int)table);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err kms_front_check_id(enum kms_table table, const char *id, struct kms_why *why)
{
    size_t len = strnlen(id, KMS_ROW_ID_BYTES);
    KMS_TRY(kms_front_check_table(table, why));
    if (len == KMS_ROW_ID_BYTES) {
        kms_why_set(why, "the id of a %s row is longer than %d bytes", kms_table_name(table),
                    KMS_ROW_ID_BYTES - 1);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    if (len == 0 || !kms_utf8_valid(kms_bytes_of(id, len))) {
        kms_why_set(why, "the id of a %s row is empty or not UTF-8", kms_table_name(table));
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

kms_err kms_keystore_scrub(kms_keystore *store, struct kms_why *why)
{
    KMS_HOLD(store);
    return store->backend->scrub(store->self, why);
}
