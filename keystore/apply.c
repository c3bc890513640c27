/* apply: all changes or none, and the memory of request ids that tells after a crash what committed. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/wire.h"
#include "keystore/change.h"

enum {
    /* Looked at in each apply, which adds one: round after round, so that no index on time is needed. */
    PRUNE_ROWS = 8,
    REQUEST_BODY_BYTES = 16,
};
static const uint64_t request_kept_us = UINT64_C(30) * 24 * 3600 * 1000000;

struct apply {
    const struct kms_id *request_id;
    const struct kms_change *changes;
    size_t count;
};

static kms_err conflict(const struct kms_change *c, const struct kms_old_row *old, struct kms_why *why)
{
    const char *table = kms_table_name(c->table);
    if (c->erase && !old->found) {
        kms_why_set(why, "no %s row %s to erase", table, c->id);
        return KMS_FAIL(NOT_FOUND);
    }
    if (!old->found)
        kms_why_set(why, "%s row %s is gone, revision %" PRIu64 " was expected", table, c->id,
                    c->expected_revision);
    else if (c->expected_revision == 0)
        kms_why_set(why, "%s row %s exists already", table, c->id);
    else
        kms_why_set(why, "%s row %s is at revision %" PRIu64 ", not %" PRIu64, table, c->id,
                    old->row.revision, c->expected_revision);
    return KMS_FAIL(CONFLICT);
}

/* A version that goes takes its budget with it. */
static kms_err erase_budget(kms_keystore *store, struct kms_totals *totals, const char *id,
                            struct kms_why *why)
{
    struct kms_old_row old;
    KMS_TRY(kms_change_find(store, KMS_TABLE_BUDGET, id, &old, why));
    if (old.found) totals->budget_revision++;
    return kms_change_erase(store, &old, KMS_TABLE_BUDGET, id, &totals->budgets, why);
}

static kms_err apply_one(kms_keystore *store, struct kms_totals *totals, const struct kms_change *c,
                         struct kms_why *why)
{
    struct kms_old_row old;
    KMS_TRY(kms_change_find(store, c->table, c->id, &old, why));
    uint64_t revision = old.found ? old.row.revision : 0;
    if (revision != c->expected_revision) return conflict(c, &old, why);
    if (!c->erase) {
        struct kms_stored_row row = {.table = c->table, .id = c->id, .body = c->body};
        return kms_change_put(store, &old, &row, &totals->rows, why);
    }
    if (c->table == KMS_TABLE_KEY_VERSION) KMS_TRY(erase_budget(store, totals, c->id, why));
    return kms_change_erase(store, &old, c->table, c->id, &totals->rows, why);
}

struct old_requests {
    kms_keystore *store;
    struct kms_why *why;
    uint64_t before_us;
    size_t seen, count;
    char last[KMS_ID_TEXT]; /* that was seen */
    char id[PRUNE_ROWS][KMS_ID_TEXT];
    struct kms_old_row old[PRUNE_ROWS];
};

static kms_err note_old_request(void *user, const struct kms_stored_row *row)
{
    struct old_requests *o = user;
    struct kms_old_row *old = &o->old[o->count];
    *old = (struct kms_old_row){.store = o->store, .why = o->why};
    KMS_TRY(kms_change_take(old, row));
    if (strlen(row->id) >= KMS_ID_TEXT) return KMS_FAIL(INTERNAL); /* its seal is right, so we wrote it */
    o->seen++;
    kms_copy(o->last, row->id, strlen(row->id) + 1);
    if (old->number >= o->before_us) return KMS_OK;
    kms_copy(o->id[o->count++], row->id, strlen(row->id) + 1);
    return KMS_OK;
}

static kms_err prune_requests(kms_keystore *store, struct kms_totals *totals, struct kms_why *why)
{
    uint64_t now_us = kms_now_us();
    struct old_requests o = {.store = store, .why = why};
    o.before_us = now_us > request_kept_us ? now_us - request_kept_us : 0;
    struct kms_page page = {.table = KMS_TABLE_REQUEST, .after = store->prune_after, .limit = PRUNE_ROWS};
    struct kms_row_sink sink = {note_old_request, &o};
    KMS_TRY(store->backend->page(store->self, &page, &sink, why));
    if (o.seen < PRUNE_ROWS) o.last[0] = '\0'; /* at the end: from the first again */
    kms_copy(store->prune_after, o.last, sizeof o.last);
    for (size_t i = 0; i < o.count; i++)
        KMS_TRY(kms_change_erase(store, &o.old[i], KMS_TABLE_REQUEST, o.id[i], &totals->rows, why));
    return KMS_OK;
}

static kms_err remember_request(kms_keystore *store, struct kms_totals *totals,
                                const struct kms_id *request_id, struct kms_why *why)
{
    char id[KMS_ID_TEXT];
    uint8_t body[REQUEST_BODY_BYTES];
    struct kms_old_row old;
    kms_id_text(request_id, id);
    KMS_TRY(kms_change_find(store, KMS_TABLE_REQUEST, id, &old, why));
    if (old.found) {
        kms_why_set(why, "request %s was applied already", id);
        return KMS_FAIL(ALREADY_EXISTS);
    }
    struct kms_writer w = kms_writer_over(body, sizeof body);
    kms_put_u64(&w, kms_now_us());
    kms_put_u64(&w, totals->revision);
    struct kms_stored_row row = {
        .table = KMS_TABLE_REQUEST, .id = id, .body = kms_bytes_of(body, sizeof body)};
    KMS_TRY(kms_change_put(store, &old, &row, &totals->rows, why));
    return prune_requests(store, totals, why);
}

static kms_err apply_steps(kms_keystore *store, struct kms_totals *totals, void *user, struct kms_why *why)
{
    const struct apply *a = user;
    totals->revision++;
    KMS_TRY(remember_request(store, totals, a->request_id, why));
    for (size_t i = 0; i < a->count; i++) KMS_TRY(apply_one(store, totals, &a->changes[i], why));
    return KMS_OK;
}

static kms_err check_changes(const struct kms_change *changes, size_t count, struct kms_why *why)
{
    if (count == 0 || count > KMS_CHANGES_MAX) {
        kms_why_set(why, "a change has 1 to %d steps, not %zu", KMS_CHANGES_MAX, count);
        return count == 0 ? KMS_FAIL(INVALID_ARGUMENT) : KMS_FAIL(LIMIT_EXCEEDED);
    }
    for (const struct kms_change *c = changes; c < changes + count; c++) {
        KMS_TRY(kms_front_check_id(c->table, c->id, why));
        if (c->expected_revision >= INT64_MAX || (c->erase && c->expected_revision == 0)) {
            kms_why_set(why, "%s row %s: no row has the expected revision", kms_table_name(c->table), c->id);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        if (c->body.len > KMS_ROW_BODY_BYTES) {
            kms_why_set(why, "%s row %s: a body of %zu bytes is more than %d", kms_table_name(c->table),
                        c->id, c->body.len, KMS_ROW_BODY_BYTES);
            return KMS_FAIL(LIMIT_EXCEEDED);
        }
    }
    return KMS_OK;
}

kms_err kms_keystore_apply(kms_keystore *store, const struct kms_id *request_id,
                           const struct kms_change *changes, size_t count, struct kms_store_mark *ret_mark,
                           struct kms_why *why)
{
    struct apply a = {request_id, changes, count};
    KMS_TRY(check_changes(changes, count, why));
    KMS_HOLD(store);
    KMS_TRY(kms_change_run(store, apply_steps, &a, why));
    *ret_mark = store->mark;
    return KMS_OK;
}

kms_err kms_keystore_committed(kms_keystore *store, const struct kms_id *request_id, bool *ret_committed,
                               struct kms_why *why)
{
    char id[KMS_ID_TEXT];
    struct kms_old_row old;
    kms_id_text(request_id, id);
    KMS_HOLD(store);
    KMS_TRY(kms_front_ready(store, why));
    KMS_TRY(kms_change_find(store, KMS_TABLE_REQUEST, id, &old, why));
    *ret_committed = old.found;
    return KMS_OK;
}
