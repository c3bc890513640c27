/* Counting what calls use, and storing it. */
#include "kmsd/service/usage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/change.h"

static void count_access(const struct kms_core *core, const struct kms_call *call,
                         const struct kms_access *access, uint64_t now_us)
{
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

static kms_err store_rows(struct kms_call *call, struct kms_ledger_row *rows, size_t count)
{
    KMS_OWN_CHANGES changes = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        kms_buf *body;
        KMS_TRY(kms_change_row(&changes, KMS_TABLE_USAGE, rows[i].id, &rows[i].revision, &body));
        KMS_TRY(kms_buf_append(body, rows[i].body.data, rows[i].body.len));
    }
    return kms_change_apply(&changes, call);
}

kms_err kms_usage_checkpoint(struct kms_call *call)
{
    size_t count;
    struct kms_ledger_row *rows = calloc(ROWS_AT_ONCE, sizeof *rows);
    if (rows == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_ledger_take(call->core->ledger, rows, ROWS_AT_ONCE, &count);
    if (!kms_failed(err)) {
        err = store_rows(call, rows, count);
        kms_ledger_taken(call->core->ledger, rows, count, !kms_failed(err));
    }
    free(rows);
    return err;
}
