/* The back end's slots over prepared statements. */
#include <stdlib.h>
#include <string.h>

#include "keystore/sqlite/sqlite.h"

enum statement {
    BEGIN_READ,
    BEGIN_WRITE,
    COMMIT,
    ROLLBACK,
    GET,
    PAGE,
    PUT,
    ERASE,
    VALUE_GET,
    VALUE_PUT,
    STATEMENTS
};

/* Ids compare byte by byte: that is SQLite's BINARY collation, the default. */
static const char *const sql[STATEMENTS] = {
    [BEGIN_READ] = "BEGIN",
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [GET] = "SELECT id, revision, body, seal FROM sealed_row WHERE kind = ?1 AND id = ?2",
    [PAGE] =
        "SELECT id, revision, body, seal FROM sealed_row WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [PUT] = "INSERT OR REPLACE INTO sealed_row (kind, id, revision, body, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
    [ERASE] = "DELETE FROM sealed_row WHERE kind = ?1 AND id = ?2",
    [VALUE_GET] = "SELECT value FROM named_value WHERE name = ?1",
    [VALUE_PUT] = "INSERT OR REPLACE INTO named_value (name, value) VALUES (?1, ?2)",
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *prepared[STATEMENTS];
};

/* Parameters are borrowed from the caller until the statement is reset, which every slot does before it
 * returns. */
static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void bind_bytes(sqlite3_stmt *s, int at, const void *data, size_t len)
{
    sqlite3_bind_blob64(s, at, len > 0 ? data : "", len, SQLITE_STATIC); /* NULL would be SQL's NULL */
}

static void finish(sqlite3_stmt *s)
{
    sqlite3_reset(s); /* repeats the error of the last step, which the caller has */
    sqlite3_clear_bindings(s);
}

static kms_err run(struct store *store, enum statement which, const char *doing, struct kms_why *why)
{
    int rc = sqlite3_step(store->prepared[which]);
    kms_err err = rc == SQLITE_DONE ? KMS_OK : kms_sqlite_error(store->db, rc, doing, why);
    finish(store->prepared[which]);
    return err;
}

static kms_err begin(void *self, bool write, struct kms_why *why)
{
    return run(self, write ? BEGIN_WRITE : BEGIN_READ, "starting a transaction", why);
}

static kms_err commit(void *self, struct kms_why *why)
{
    return run(self, COMMIT, "committing", why);
}

static void rollback(void *self)
{
    struct store *store = self;
    if (sqlite3_get_autocommit(store->db)) return; /* SQLite rolled back by itself */
    kms_ignore(run(store, ROLLBACK, "rolling back",
                   NULL)); /* nothing is lost: an open transaction never commits alone */
}

/* secure_delete has zeroed what was freed; the log and what it replaced go here. */
static kms_err scrub(void *self, struct kms_why *why)
{
    struct store *store = self;
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc == SQLITE_OK ? KMS_OK : kms_sqlite_error(store->db, rc, "emptying the write-ahead log", why);
}

/* Anybody may have edited the file, so nothing about a column is taken for granted. */
static kms_err row_from(sqlite3_stmt *s, uint32_t table, struct kms_stored_row *ret_row, struct kms_why *why)
{
    const char *id = (const char *)sqlite3_column_text(s, 0);
    const void *body = sqlite3_column_blob(s, 2), *seal = sqlite3_column_blob(s, 3);
    size_t id_len = (size_t)sqlite3_column_bytes(s, 0), body_len = (size_t)sqlite3_column_bytes(s, 2);
    sqlite3_int64 revision = sqlite3_column_int64(s, 1);
    if (id == NULL || id_len == 0 || id_len >= KMS_ROW_ID_BYTES || strlen(id) != id_len || revision < 1 ||
        body_len > KMS_ROW_BODY_BYTES || (body == NULL && body_len > 0) || seal == NULL ||
        sqlite3_column_bytes(s, 3) != KMS_DIGEST_BYTES) {
        kms_why_set(why, "table %u row %.299s: not a row that kmsd wrote", table,
                    id != NULL ? id : "without id");
        return KMS_FAIL(CORRUPT);
    }
    *ret_row = (struct kms_stored_row){
        .table = table, .id = id, .revision = (uint64_t)revision, .body = kms_bytes_of(body, body_len)};
    kms_copy(ret_row->seal, seal, KMS_DIGEST_BYTES);
    return KMS_OK;
}

static kms_err visit_rows(struct store *store, sqlite3_stmt *s, uint32_t table,
                          const struct kms_row_sink *sink, struct kms_why *why)
{
    for (;;) {
        struct kms_stored_row row;
        int rc = sqlite3_step(s);
        if (rc == SQLITE_DONE) return KMS_OK;
        if (rc != SQLITE_ROW) return kms_sqlite_error(store->db, rc, "reading rows", why);
        KMS_TRY(row_from(s, table, &row, why));
        KMS_TRY(sink->visit(sink->user, &row));
    }
}

static kms_err get(void *self, uint32_t table, const char *id, const struct kms_row_sink *sink,
                   struct kms_why *why)
{
    struct store *store = self;
    sqlite3_stmt *s = store->prepared[GET];
    struct kms_stored_row row;
    sqlite3_bind_int64(s, 1, table);
    bind_text(s, 2, id);
    int rc = sqlite3_step(s);
    kms_err err = rc == SQLITE_ROW    ? row_from(s, table, &row, why)
                  : rc == SQLITE_DONE ? KMS_FAIL(NOT_FOUND)
                                      : kms_sqlite_error(store->db, rc, "reading a row", why);
    if (!kms_failed(err)) err = sink->visit(sink->user, &row);
    finish(s);
    return err;
}

static kms_err page(void *self, const struct kms_page *page, const struct kms_row_sink *sink,
                    struct kms_why *why)
{
    struct store *store = self;
    sqlite3_stmt *s = store->prepared[PAGE];
    sqlite3_bind_int64(s, 1, page->table);
    bind_text(s, 2, page->after);
    sqlite3_bind_int64(s, 3, page->limit > 0 ? (sqlite3_int64)page->limit : -1); /* -1: no limit */
    kms_err err = visit_rows(store, s, page->table, sink, why);
    finish(s);
    return err;
}

static kms_err put(void *self, const struct kms_stored_row *row, struct kms_why *why)
{
    struct store *store = self;
    sqlite3_stmt *s = store->prepared[PUT];
    sqlite3_bind_int64(s, 1, row->table);
    bind_text(s, 2, row->id);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)row->revision);
    bind_bytes(s, 4, row->body.ptr, row->body.len);
    bind_bytes(s, 5, row->seal, sizeof row->seal);
    return run(store, PUT, "writing a row", why);
}

static kms_err erase(void *self, uint32_t table, const char *id, struct kms_why *why)
{
    struct store *store = self;
    sqlite3_bind_int64(store->prepared[ERASE], 1, table);
    bind_text(store->prepared[ERASE], 2, id);
    return run(store, ERASE, "erasing a row", why);
}

static kms_err value_get(void *self, const char *name, kms_buf *ret_value, struct kms_why *why)
{
    struct store *store = self;
    sqlite3_stmt *s = store->prepared[VALUE_GET];
    bind_text(s, 1, name);
    int rc = sqlite3_step(s);
    kms_err err = rc == SQLITE_DONE ? KMS_FAIL(NOT_FOUND) : KMS_OK;
    if (rc == SQLITE_ROW) {
        const void *value = sqlite3_column_blob(s, 0); /* before _bytes: the order that SQLite asks for */
        err = kms_buf_append(ret_value, value, value != NULL ? (size_t)sqlite3_column_bytes(s, 0) : 0);
    } else if (rc != SQLITE_DONE) {
        err = kms_sqlite_error(store->db, rc, "reading a value", why);
    }
    finish(s);
    return err;
}

static kms_err value_put(void *self, const char *name, struct kms_bytes value, struct kms_why *why)
{
    struct store *store = self;
    bind_text(store->prepared[VALUE_PUT], 1, name);
    bind_bytes(store->prepared[VALUE_PUT], 2, value.ptr, value.len);
    return run(store, VALUE_PUT, "writing a value", why);
}

static void close_store(void *self)
{
    struct store *store = self;
    for (size_t i = 0; i < STATEMENTS; i++) sqlite3_finalize(store->prepared[i]);
    sqlite3_close(store->db); /* what is committed is durable already; this only tidies the log away */
    free(store);
}

static const struct kms_backend backend = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .get = get,
    .page = page,
    .put = put,
    .erase = erase,
    .value_get = value_get,
    .value_put = value_put,
    .scrub = scrub,
    .close = close_store,
};

static kms_err prepare_all(struct store *store, struct kms_why *why)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        int rc =
            sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &store->prepared[i], NULL);
        if (rc != SQLITE_OK) return kms_sqlite_error(store->db, rc, "preparing statements", why);
    }
    return KMS_OK;
}

kms_err kms_sqlite_over(sqlite3 *db, kms_keystore **ret_store, struct kms_why *why)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        sqlite3_close(db);
        return KMS_FAIL(NO_MEMORY);
    }
    store->db = db;
    kms_err err = prepare_all(store, why);
    if (kms_failed(err)) {
        close_store(store);
        return err;
    }
    return kms_keystore_over(&backend, store, ret_store);
}
