/* Brings a database to the schema of this release, one numbered step after the other. Private to
 * keystore/sqlite. */
#ifndef KMS_KEYSTORE_SQLITE_MIGRATE_H
#define KMS_KEYSTORE_SQLITE_MIGRATE_H

#include <sqlite3.h>
#include <stddef.h>

#include "base/err.h"

struct kms_migration {
    unsigned version; /* 1, 2, 3, ... without a gap: the schema after this step */
    const char *name; /* file name, for the words of an error */
    const char *sql;
};

/* The scripts of keystore/schema, embedded at build time (schema/embed.cmake). */
extern const struct kms_migration kms_sqlite_migrations[];
extern const size_t kms_sqlite_migration_count;

/*
 * Runs what is missing, each step in an exclusive transaction that also writes the version: a crash leaves a
 * whole number of steps done. may_create: an empty database is taken for a new one. Errors: SCHEMA_TOO_NEW,
 * CORRUPT (another program's database, or an empty one), else as keystore/backend.h.
 */
KMS_MUST_USE kms_err kms_sqlite_migrate(sqlite3 *db, const struct kms_migration *migrations, size_t count,
                                        bool may_create, struct kms_why *why);

#endif
