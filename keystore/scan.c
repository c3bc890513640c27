/* Reading: single rows, tables page by page, and the whole store with its sums. */
#include <string.h>

#include "keystore/front.h"

enum { PAGE_ROWS = 64 }; /* of at most 256 KiB each: what one page of a scan may take */

struct copied_row {
    size_t id_at, body_at, body_len; /* into page.bytes, which moves while it grows */
    uint64_t revision;
};
struct page {
    kms_keystore *store;
    struct kms_why *why;
    kms_buf bytes;
    size_t count;
    struct copied_row row[PAGE_ROWS];
};

static kms_err copy_row(void *user, const struct kms_stored_row *row)
{
    struct page *page = user;
    KMS_TRY(kms_front_check(page->store, row, page->why));
    struct copied_row *copy = &page->row[page->count];
    *copy =
        (struct copied_row){.id_at = page->bytes.len, .body_len = row->body.len, .revision = row->revision};
    KMS_TRY(kms_buf_append(&page->bytes, row->id, strlen(row->id) + 1));
    copy->body_at = page->bytes.len;
    KMS_TRY(kms_buf_append(&page->bytes, row->body.ptr, row->body.len));
    page->count++;
    return KMS_OK;
}

static kms_err read_page(struct page *page, const struct kms_page *what)
{
    kms_keystore *store = page->store;
    struct kms_row_sink sink = {copy_row, page};
    page->bytes.len = page->count = 0;
    KMS_HOLD(store);
    KMS_TRY(kms_front_ready(store, page->why));
    return store->backend->page(store->self, what, &sink, page->why);
}

/* Without the lock: visit may call the store. */
static kms_err hand_out(const struct page *page, enum kms_table table, kms_row_visit *visit, void *user)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct copied_row *copy = &page->row[i];
        const uint8_t *bytes = page->bytes.data;
        struct kms_row row = {table, (const char *)bytes + copy->id_at, copy->revision,
                              kms_bytes_of(bytes + copy->body_at, copy->body_len)};
        KMS_TRY(visit(user, &row));
    }
    return KMS_OK;
}

static kms_err scan_pages(struct page *page, struct kms_page *what, kms_row_visit *visit, void *user)
{
    char after[KMS_ROW_ID_BYTES];
    what->limit = PAGE_ROWS;
    for (;;) {
        KMS_TRY(read_page(page, what));
        KMS_TRY(hand_out(page, (enum kms_table)what->table, visit, user));
        if (page->count < what->limit) return KMS_OK;
        const char *last = (const char *)page->bytes.data + page->row[page->count - 1].id_at;
        kms_copy(after, last, strlen(last) + 1);
        what->after = after;
    }
}

kms_err kms_keystore_scan(kms_keystore *store, enum kms_table table, const char *after, kms_row_visit *visit,
                          void *user, struct kms_why *why)
{
    KMS_TRY(kms_front_check_table(table, why));
    if (after[0] != '\0') KMS_TRY(kms_front_check_id(table, after, why));
    struct page page = {.store = store, .why = why};
    struct kms_page what = {.table = table, .after = after};
    kms_err err = scan_pages(&page, &what, visit, user);
    kms_buf_free(&page.bytes);
    return err;
}

struct one_row {
    kms_keystore *store;
    struct kms_why *why;
    uint64_t revision;
    kms_buf body;
};

static kms_err copy_body(void *user, const struct kms_stored_row *row)
{
    struct one_row *one = user;
    KMS_TRY(kms_front_check(one->store, row, one->why));
    one->revision = row->revision;
    return kms_buf_append(&one->body, row->body.ptr, row->body.len);
}

kms_err kms_keystore_get(kms_keystore *store, enum kms_table table, const char *id, uint64_t *ret_revision,
                         kms_buf *ret_body, struct kms_why *why)
{
    KMS_TRY(kms_front_check_id(table, id, why));
    struct one_row one = {.store = store, .why = why};
    struct kms_row_sink sink = {copy_body, &one};
    KMS_HOLD(store);
    KMS_TRY(kms_front_ready(store, why));
    kms_err err = store->backend->get(store->self, table, id, &sink, why);
    if (kms_is(err, KMS_E_NOT_FOUND)) kms_why_set(why, "no %s row %s", kms_table_name(table), id);
    if (kms_failed(err)) {
        kms_buf_free(&one.body);
        return err;
    }
    kms_buf_free(ret_body);
    *ret_body = one.body;
    *ret_revision = one.revision;
    return KMS_OK;
}

struct loading {
    kms_keystore *store;
    kms_row_visit *visit;
    void *user;
    struct kms_why *why;
    struct kms_sum *sum;
};

static kms_err load_row(void *user, const struct kms_stored_row *stored)
{
    struct loading *l = user;
    KMS_TRY(kms_front_check(l->store, stored, l->why));
    KMS_TRY(kms_sum_add(l->store->sealer, stored, l->sum));
    if (l->visit == NULL || stored->table >= KMS_TABLE_COUNT) return KMS_OK;
    struct kms_row row = {(enum kms_table)stored->table, stored->id, stored->revision, stored->body};
    return l->visit(l->user, &row);
}

static kms_err load_table(struct loading *l, uint32_t table, struct kms_sum *sum)
{
    const struct kms_page all = {.table = table, .after = "", .limit = 0};
    const struct kms_row_sink sink = {load_row, l};
    l->sum = sum;
    return l->store->backend->page(l->store->self, &all, &sink, l->why);
}

static kms_err load_tables(struct loading *l, struct kms_totals *ret_found)
{
    for (uint32_t table = KMS_TABLE_KEY; table < KMS_TABLE_COUNT; table++)
        KMS_TRY(load_table(l, table, &ret_found->rows));
    KMS_TRY(load_table(l, KMS_TABLE_REQUEST, &ret_found->rows));
    return load_table(l, KMS_TABLE_BUDGET, &ret_found->budgets);
}

static kms_err load_all(struct loading *l, struct kms_totals *ret_totals)
{
    struct kms_totals stored, found = {0};
    KMS_TRY(kms_front_totals(l->store, &stored, l->why));
    KMS_TRY(load_tables(l, &found));
    bool rows_fit = kms_sum_equal(&stored.rows, &found.rows),
         budgets_fit = kms_sum_equal(&stored.budgets, &found.budgets);
    if (!rows_fit || !budgets_fit) {
        kms_why_set(l->why,
                    "every %s has its seal, but together they are not those of revision %llu: "
                    "some were removed, or replaced by older ones; restore the keystore from a backup",
                    rows_fit ? "budget row" : "row", (unsigned long long)stored.revision);
        return KMS_FAIL(CORRUPT);
    }
    *ret_totals = stored;
    return KMS_OK;
}

kms_err kms_keystore_load(kms_keystore *store, kms_row_visit *visit, void *user,
                          struct kms_store_mark *ret_mark, struct kms_why *why)
{
    struct loading l = {.store = store, .visit = visit, .user = user, .why = why};
    struct kms_totals totals;
    struct kms_store_mark mark;
    KMS_HOLD(store);
    KMS_TRY(kms_front_ready(store, why));
    KMS_TRY(store->backend->begin(store->self, false, why));
    kms_err err = load_all(&l, &totals);
    store->backend->rollback(store->self); /* it only read */
    KMS_TRY(err);
    KMS_TRY(kms_totals_mark(store->sealer, &totals, &mark));
    store->totals = totals;
    store->mark = mark;
    *ret_mark = mark;
    return KMS_OK;
}

kms_err kms_keystore_verify(kms_keystore *store, struct kms_store_mark *ret_mark, struct kms_why *why)
{
    return kms_keystore_load(store, NULL, NULL, ret_mark, why);
}
