/* The border to SQLite's error codes. */
#include <string.h>

#include "keystore/sqlite/sqlite.h"

static const struct {
    int primary; /* the low byte of a result code: https://sqlite.org/rescode.html */
    enum kms_code code;
    const char *advice;
} table[] = {
    {SQLITE_BUSY, KMS_E_KEYSTORE_UNAVAILABLE,
     "locked by another process: is another kmsd or a backup using it?"},
    {SQLITE_LOCKED, KMS_E_KEYSTORE_UNAVAILABLE, "locked within this process"},
    {SQLITE_READONLY, KMS_E_KEYSTORE_UNAVAILABLE,
     "read-only: kmsd must be able to write the file and its directory"},
    {SQLITE_PERM, KMS_E_KEYSTORE_UNAVAILABLE, "no permission"},
    {SQLITE_CANTOPEN, KMS_E_KEYSTORE_UNAVAILABLE,
     "cannot be opened: the directory must exist and kmsd must be able to write it"},
    {SQLITE_FULL, KMS_E_KEYSTORE_UNAVAILABLE, "the disk is full"},
    {SQLITE_IOERR, KMS_E_KEYSTORE_UNAVAILABLE, "the disk reports an error"},
    {SQLITE_PROTOCOL, KMS_E_KEYSTORE_UNAVAILABLE, "locked: gave up waiting for the write-ahead log"},
    {SQLITE_NOTADB, KMS_E_CORRUPT, "not a keystore: restore it from a backup"},
    {SQLITE_CORRUPT, KMS_E_CORRUPT, "damaged: restore it from a backup"},
    {SQLITE_ERROR, KMS_E_CORRUPT,
     "its tables are not those of its schema version"}, /* our SQL is fixed and right */
    {SQLITE_CONSTRAINT, KMS_E_CORRUPT, "its tables are not those of its schema version"},
    {SQLITE_TOOBIG, KMS_E_CORRUPT, "holds a row longer than any that kmsd writes"},
    {SQLITE_NOMEM, KMS_E_NO_MEMORY, "out of memory"},
};

kms_err kms_sqlite_error(sqlite3 *db, int rc, const char *doing, struct kms_why *why)
{
    kms_err err = KMS_FAIL(INTERNAL);
    const char *advice = "unexpected answer of SQLite";
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].primary != (rc & 0xff)) continue;
        err = (kms_err){table[i].code};
        advice = table[i].advice;
    }
    const char *path = sqlite3_db_filename(db, "main");
    int system = sqlite3_system_errno(db);
    bool from_system = system != 0 && (rc & 0xff) != SQLITE_BUSY;
    kms_why_set(why, "%s: %s: %s (SQLite %d: %s%s%s)", path != NULL && path[0] != '\0' ? path : "keystore",
                doing, advice, rc, sqlite3_errstr(rc), from_system ? "; " : "",
                from_system ? strerror(system) : "");
    return err;
}

kms_err kms_sqlite_exec(sqlite3 *db, const char *sql, const char *doing, struct kms_why *why)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? KMS_OK : kms_sqlite_error(db, rc, doing, why);
}

kms_err kms_sqlite_number(sqlite3 *db, const char *sql, const char *doing, sqlite3_int64 *ret_number,
                          struct kms_why *why)
{
    sqlite3_stmt *query = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &query, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(query);
    sqlite3_int64 number = rc == SQLITE_ROW ? sqlite3_column_int64(query, 0) : 0;
    sqlite3_finalize(query);
    if (rc == SQLITE_DONE) rc = SQLITE_CORRUPT; /* a table that must have a row has none */
    if (rc != SQLITE_ROW) return kms_sqlite_error(db, rc, doing, why);
    *ret_number = number;
    return KMS_OK;
}
