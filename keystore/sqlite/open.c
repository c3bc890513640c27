/* Opening a SQLite keystore: the file, how SQLite shall treat it, the schema. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keystore/sqlite/migrate.h"
#include "keystore/sqlite/sqlite.h"

enum {
    BUSY_WAIT_MS = 250, /* for a backup that reads the last page; another kmsd would hold on longer */
    VALUE_BYTES_MAX =
        1024 * 1024, /* four times the longest row that kmsd writes: an edited file cannot ask for more */
    PATH_BYTES = 4096,
};

#define KMS_OWN_DB __attribute__((cleanup(close_db))) sqlite3 *
static void close_db(sqlite3 **db)
{
    sqlite3_close(*db);
}

static kms_err no_file(const char *path, struct kms_why *why)
{
    kms_why_set(why, "%s: %s", path, strerror(errno));
    return KMS_FAIL(KEYSTORE_UNAVAILABLE);
}

/* A new name is durable once its directory is. */
static kms_err sync_directory(const char *path, struct kms_why *why)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(directory, sizeof directory, ".");
    else
        snprintf(directory, sizeof directory, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    KMS_OWN_FD fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) return no_file(directory, why);
    return KMS_OK;
}

/* SQLite would make the file readable by all. An existing file is never opened here: closing it would drop
 * the locks that SQLite holds on it elsewhere in this process (https://sqlite.org/howtocorrupt.html,
 * section 2.2). */
static kms_err make_file(const char *path, struct kms_why *why)
{
    KMS_OWN_FD fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST) return KMS_OK;
    if (fd < 0) return no_file(path, why);
    return sync_directory(path, why);
}

/* The file may have been edited by anybody: no triggers or views of its own, no functions from its schema. */
static kms_err distrust(sqlite3 *db, struct kms_why *why)
{
    static const struct {
        int option, value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        int rc = sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
        if (rc != SQLITE_OK) return kms_sqlite_error(db, rc, "configuring", why);
    }
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    return KMS_OK;
}

static kms_err use_write_ahead_log(sqlite3 *db, struct kms_why *why)
{
    sqlite3_stmt *query = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &query, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(query);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(query, 0) : NULL;
    bool on = mode != NULL && strcmp(mode, "wal") == 0;
    sqlite3_finalize(query);
    if (rc != SQLITE_ROW) return kms_sqlite_error(db, rc, "opening", why);
    if (on) return KMS_OK;
    kms_why_set(why, "%s: its file system cannot hold a write-ahead log: use a local one",
                sqlite3_db_filename(db, "main"));
    return KMS_FAIL(KEYSTORE_UNAVAILABLE);
}

/* Durable when committed: the write-ahead log is synced with every commit. */
static kms_err configure(sqlite3 *db, struct kms_why *why)
{
    static const char doing[] = "opening";
    sqlite3_busy_timeout(db, BUSY_WAIT_MS);
    KMS_TRY(distrust(db, why));
    if (sqlite3_db_readonly(db, "main") == 1) return kms_sqlite_error(db, SQLITE_READONLY, doing, why);
    KMS_TRY(kms_sqlite_exec(db, "PRAGMA cell_size_check = ON", doing, why));
    KMS_TRY(use_write_ahead_log(db, why));
    KMS_TRY(kms_sqlite_exec(db, "PRAGMA secure_delete = ON", doing, why)); /* deleted keys leave no bytes */
    KMS_TRY(kms_sqlite_exec(db, "PRAGMA synchronous = FULL", doing, why));
    KMS_TRY(kms_sqlite_exec(db, "PRAGMA cache_size = -16384", doing, why));         /* KiB */
    return kms_sqlite_exec(db, "PRAGMA journal_size_limit = 67108864", doing, why); /* bytes */
}

kms_err kms_keystore_open_sqlite(const char *path, bool create, kms_keystore **ret_store, struct kms_why *why)
{
    KMS_OWN_DB db = NULL;
    if (path[0] == '\0' || path[0] == ':' ||
        strlen(path) >= PATH_BYTES) { /* ":memory:" and "" mean no file to SQLite */
        kms_why_set(why, "\"%.100s\" is not the path of a keystore file", path);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (create) KMS_TRY(make_file(path, why));
    int rc =
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (db == NULL) return KMS_FAIL(NO_MEMORY);
    if (rc != SQLITE_OK) return kms_sqlite_error(db, rc, path, why); /* SQLite has no name yet */
    KMS_TRY(configure(db, why));
    KMS_TRY(kms_sqlite_migrate(db, kms_sqlite_migrations, kms_sqlite_migration_count, create, why));
    return kms_sqlite_over(KMS_GIVE(db), ret_store, why);
}
