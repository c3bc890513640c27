/* Counting what calls use, and storing it. */
#include "kmsd/service/usage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/change.h"

static void count_access(const struct kms_core *core, const struct kms_call *call,
                         const struct kms_access *access, uint64_t now_us)
{
    if (access->secret != NULL && access->action == KMS_ACT_GET_SECRET_VALUE)
        kms_read_day_set(access->secret->read, now_us);
    bool used =
        access->key != NULL && access->version != 0 && kms_action_class_of(access->action) == KMS_CLASS_USAGE;
    if (!used) return;
    const struct kms_ledger_use use = {.key_id = &access->key->id,
                                       .version = access->version,
                                       .action = access->action,
                                       .principal = call->identity->principal,
                                       .at_us = now_us,
                                       .times = 1};
    kms_ledger_add(core->ledger, &use);
}

static void count_items(const struct kms_core *core, const struct kms_batch *batch, uint64_t now_us)
{
    for (size_t i = 0; batch != NULL && i < batch->count; i++) {
        const struct kms_call *item = &batch->items[i];
        if (kms_failed(item->err)) continue;
        for (size_t k = 0; k < item->access_count; k++) count_access(core, item, &item->access[k], now_us);
    }
}

void kms_usage_count(const struct kms_core *core, struct kms_call *const *calls, size_t count)
{
    uint64_t sequence, now_us = kms_now_us();
    char hash[2 * KMS_DIGEST_BYTES + 1];
    kms_ledger_hold(core->ledger);
    for (size_t i = 0; i < count; i++) {
        const struct kms_call *call = calls[i];
        if (call->attempt || kms_failed(call->err) || call->by_service) continue;
        for (size_t k = 0; k < call->access_count; k++) count_access(core, call, &call->access[k], now_us);
        count_items(core, call->batch, now_us);
    }
    kms_audit_head(core->audit, &sequence, hash);
    kms_ledger_release(core->ledger, sequence);
}

uint64_t kms_usage_last_us(const struct kms_core *core, const struct kms_key *key, uint32_t version)
{
    struct kms_usage usage;
    return kms_ledger_find(core->ledger, &key->id, version, &usage, NULL) ? usage.last_us : 0;
}

bool kms_usage_lately(const struct kms_core *core, const struct kms_key *key, uint32_t version)
{
    uint64_t last_us = kms_usage_last_us(core, key, version);
    return last_us != 0 && last_us + core->used_lately_us > kms_core_now_us(core);
}

/* ---- checkpoints ---- */

enum { ROWS_AT_ONCE = 4096 };

static kms_err add_rows(struct kms_change_set *changes, struct kms_ledger_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kms_buf *body;
        KMS_TRY(kms_change_row(changes, KMS_TABLE_USAGE, rows[i].id, &rows[i].revision, &body));
        KMS_TRY(kms_buf_append(body, rows[i].body.data, rows[i].body.len));
    }
    return KMS_OK;
}

static kms_err add_days(struct kms_change_set *changes, const struct kms_secret_list *secrets)
{
    for (size_t i = 0; i < secrets->count; i++) {
        struct kms_read_day *day = secrets->entries[i]->read;
        kms_buf *body;
        KMS_TRY(kms_change_row(changes, KMS_TABLE_READ_DAY, secrets->entries[i]->row, &day->revision, &body));
        KMS_TRY(kms_read_day_body(day, body));
    }
    return KMS_OK;
}

static bool day_changed(const void *user, const struct kms_secret_entry *entry)
{
    (void)user;
    return kms_read_day_of(entry->read) != entry->read->stored_us;
}

/* The ledger's rows were taken before, so the days are those of all records that its checkpoint covers, or of
 * later ones. Too many of them: they go first, and the ledger waits. */
static kms_err store_rows(struct kms_call *call, struct kms_ledger_row *rows, size_t count, bool *ret_stored)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    KMS_OWN_SECRET_LIST read = {.count = 0};
    KMS_TRY(kms_secret_book_list(call->core->secrets, "", ROWS_AT_ONCE, day_changed, NULL, &read));
    KMS_TRY(add_days(&changes, &read));
    if (!read.more) KMS_TRY(add_rows(&changes, rows, count));
    KMS_TRY(kms_change_apply(&changes, call));
    for (size_t i = 0; i < read.count; i++)
        read.entries[i]->read->stored_us = read.entries[i]->read->taken_us;
    *ret_stored = !read.more;
    return KMS_OK;
}

kms_err kms_usage_checkpoint(struct kms_call *call)
{
    size_t count;
    bool stored = false;
    struct kms_ledger_row *rows = calloc(ROWS_AT_ONCE, sizeof *rows);
    if (rows == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_ledger_take(call->core->ledger, rows, ROWS_AT_ONCE, &count);
    if (!kms_failed(err)) {
        kms_secret_book_turn(call->core->secrets);
        err = store_rows(call, rows, count, &stored);
        kms_secret_book_end(call->core->secrets);
        kms_ledger_taken(call->core->ledger, rows, count, stored);
    }
    free(rows);
    return err;
}
