/* Migrations run in order, once each, whole or not at all. */
#include "keystore/sqlite/migrate.h"

#include <stdio.h>

#include "tests/harness/suite.h"

#define FIRST                                                                                                \
    "PRAGMA application_id = 0x6b6d7364; CREATE TABLE schema_version (version INTEGER NOT NULL);"            \
    "INSERT INTO schema_version VALUES (0); CREATE TABLE log (step TEXT); INSERT INTO log VALUES ('one')"
static const struct kms_migration steps[] = {
    {1, "0001_first.sql", FIRST},
    {2, "0002_second.sql", "INSERT INTO log VALUES ('two')"},
    {3, "0003_third.sql", "INSERT INTO log VALUES ('three')"},
};
static const struct kms_migration broken[] = {
    {1, "0001_first.sql", FIRST},
    {2, "0002_broken.sql", "INSERT INTO log VALUES ('half'); INSERT INTO absent VALUES (1)"},
};

static sqlite3 *database(const char *name)
{
    char path[200];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/%s", kms_temp_dir(), name);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10);
    return db;
}

static const char *one_text(sqlite3 *db, const char *sql)
{
    static char text[100];
    sqlite3_stmt *query = NULL;
    text[0] = '\0';
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK && sqlite3_step(query) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(query, 0));
    sqlite3_finalize(query);
    return text;
}
static const char log_sql[] = "SELECT group_concat(step) FROM log",
                  version_sql[] = "SELECT version FROM schema_version";

static void each_step_runs_once_and_in_order(void)
{
    sqlite3 *db = database("order");
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 1, true, NULL));
    CU_ASSERT_STRING_EQUAL(one_text(db, log_sql), "one");
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 3, false, NULL)); /* an upgrade by two */
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 3, true, NULL));
    CU_ASSERT_STRING_EQUAL(one_text(db, log_sql), "one,two,three");
    CU_ASSERT_STRING_EQUAL(one_text(db, version_sql), "3");
    sqlite3_close(db);
}

static void a_broken_step_leaves_the_one_before(void)
{
    sqlite3 *db = database("broken");
    struct kms_why why = {""};
    KMS_ASSERT_CODE(kms_sqlite_migrate(db, broken, 2, true, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "0002_broken.sql"));
    CU_ASSERT(sqlite3_get_autocommit(db));
    CU_ASSERT_STRING_EQUAL(one_text(db, log_sql), "one");
    CU_ASSERT_STRING_EQUAL(one_text(db, version_sql), "1");
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 3, true, NULL)); /* by the release that is right */
    CU_ASSERT_STRING_EQUAL(one_text(db, log_sql), "one,two,three");
    sqlite3_close(db);
}

static void a_newer_schema_is_not_touched(void)
{
    sqlite3 *db = database("newer");
    struct kms_why why = {""};
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 3, true, NULL));
    KMS_ASSERT_CODE(kms_sqlite_migrate(db, steps, 2, true, &why), SCHEMA_TOO_NEW);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "schema 3"));
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "up to 2"));
    CU_ASSERT_STRING_EQUAL(one_text(db, version_sql), "3");
    sqlite3_close(db);
}

static void an_empty_database_is_made_only_when_asked(void)
{
    sqlite3 *db = database("empty");
    KMS_ASSERT_CODE(kms_sqlite_migrate(db, steps, 3, false, NULL), CORRUPT);
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 3, true, NULL));
    sqlite3_close(db);
}

static void a_migration_waits_for_no_one(void)
{
    sqlite3 *db = database("locked"), *other = database("locked");
    struct kms_why why = {""};
    KMS_ASSERT_OK(kms_sqlite_migrate(db, steps, 1, true, NULL));
    CU_ASSERT_EQUAL_FATAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    KMS_ASSERT_CODE(kms_sqlite_migrate(db, steps, 3, true, &why), KEYSTORE_UNAVAILABLE);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "locked by another process"));
    CU_ASSERT_STRING_EQUAL(one_text(db, version_sql), "1");
    sqlite3_close(other);
    sqlite3_close(db);
}

/* A gap would leave databases between two schemas. */
static void the_embedded_scripts_are_numbered_without_a_gap(void)
{
    CU_ASSERT(kms_sqlite_migration_count > 0);
    for (size_t i = 0; i < kms_sqlite_migration_count; i++) {
        CU_ASSERT_EQUAL(kms_sqlite_migrations[i].version, i + 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(kms_sqlite_migrations[i].name, ".sqlite.sql"));
    }
}

KMS_TEST_MAIN("keystore/sqlite/migrate",
              {"each step runs once and in order", each_step_runs_once_and_in_order},
              {"a broken step leaves the one before", a_broken_step_leaves_the_one_before},
              {"a newer schema is not touched", a_newer_schema_is_not_touched},
              {"an empty database is made only when asked", an_empty_database_is_made_only_when_asked},
              {"a migration does not wait for a lock", a_migration_waits_for_no_one},
              {"the embedded scripts are numbered without a gap",
               the_embedded_scripts_are_numbered_without_a_gap})
