/* Numbered migrations: exclusive lock, one transaction for each step, a newer schema is refused. */
#include "keystore/sqlite/migrate.h"

#include <stdio.h>

#include "keystore/sqlite/sqlite.h"

static const sqlite3_int64 application_id = 0x6b6d7364; /* "kmsd", as 0001_init.sqlite.sql writes it */

/* 0: an empty database. */
static kms_err read_version(sqlite3 *db, sqlite3_int64 *ret_version, struct kms_why *why)
{
    static const char doing[] = "reading the schema version";
    sqlite3_int64 tables, application;
    KMS_TRY(kms_sqlite_number(db, "SELECT count(*) FROM sqlite_schema", doing, &tables, why));
    KMS_TRY(kms_sqlite_number(db, "PRAGMA application_id", doing, &application, why));
    if (tables == 0 && application == 0) {
        *ret_version = 0;
        return KMS_OK;
    }
    if (application != application_id) {
        kms_why_set(why, "%s: a database of another program, not a keystore",
                    sqlite3_db_filename(db, "main"));
        return KMS_FAIL(CORRUPT);
    }
    return kms_sqlite_number(db, "SELECT version FROM schema_version", doing, ret_version, why);
}

static kms_err check_version(sqlite3 *db, sqlite3_int64 version, size_t newest, bool may_create,
                             struct kms_why *why)
{
    const char *path = sqlite3_db_filename(db, "main");
    if (version > (sqlite3_int64)newest) {
        kms_why_set(
            why,
            "%s: has schema %lld, this release of kmsd knows schemas up to %zu: install the newer release",
            path, (long long)version, newest);
        return KMS_FAIL(SCHEMA_TOO_NEW);
    }
    if (version < 0 || (version == 0 && !may_create)) {
        kms_why_set(why, "%s: an empty database, not a keystore: was it truncated?", path);
        return KMS_FAIL(CORRUPT);
    }
    return KMS_OK;
}

static kms_err run_step(sqlite3 *db, const struct kms_migration *step, struct kms_why *why)
{
    char doing[100], set_version[80];
    snprintf(doing, sizeof doing, "migration %s", step->name);
    snprintf(set_version, sizeof set_version, "UPDATE schema_version SET version = %u", step->version);
    KMS_TRY(kms_sqlite_exec(db, step->sql, doing, why));
    KMS_TRY(kms_sqlite_exec(db, set_version, doing, why));
    return kms_sqlite_exec(db, "COMMIT", doing, why);
}

/* The version is read again under the lock: another process may have been faster. */
static kms_err next_step(sqlite3 *db, const struct kms_migration *migrations, size_t count,
                         struct kms_why *why)
{
    sqlite3_int64 version;
    KMS_TRY(read_version(db, &version, why));
    KMS_TRY(check_version(db, version, count, true, why));
    if ((size_t)version == count) return kms_sqlite_exec(db, "ROLLBACK", "migrations", why);
    return run_step(db, &migrations[version], why);
}

kms_err kms_sqlite_migrate(sqlite3 *db, const struct kms_migration *migrations, size_t count, bool may_create,
                           struct kms_why *why)
{
    sqlite3_int64 version;
    KMS_TRY(read_version(db, &version, why));
    KMS_TRY(check_version(db, version, count, may_create, why));
    for (; (size_t)version < count; version++) {
        KMS_TRY(kms_sqlite_exec(db, "BEGIN EXCLUSIVE", "locking for a migration", why));
        kms_err err = next_step(db, migrations, count, why);
        /* The step's error is the one to report; after some errors SQLite has rolled back by itself. */
        if (kms_failed(err) && !sqlite3_get_autocommit(db))
            kms_ignore(kms_sqlite_exec(db, "ROLLBACK", "migrations", NULL));
        KMS_TRY(err);
    }
    return KMS_OK;
}
