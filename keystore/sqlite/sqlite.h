/* What the files of the SQLite back end share. Private to keystore/sqlite, the only folder that sees SQL. */
#ifndef KMS_KEYSTORE_SQLITE_SQLITE_H
#define KMS_KEYSTORE_SQLITE_SQLITE_H

#include <sqlite3.h>

#include "keystore/backend.h"

/* The one place where SQLite's result codes become ours. rc is the code, doing the words for what failed
 * ("reading a row"); why also gets the path and SQLite's own words. */
KMS_MUST_USE kms_err kms_sqlite_error(sqlite3 *db, int rc, const char *doing, struct kms_why *why);

/* Runs statements that return nothing of interest. */
KMS_MUST_USE kms_err kms_sqlite_exec(sqlite3 *db, const char *sql, const char *doing, struct kms_why *why);
/* The first column of the first row of a query, as a number; none is CORRUPT. */
KMS_MUST_USE kms_err kms_sqlite_number(sqlite3 *db, const char *sql, const char *doing,
                                       sqlite3_int64 *ret_number, struct kms_why *why);

/* Over an open database with the current schema. Takes db over, also when it fails. */
KMS_MUST_USE kms_err kms_sqlite_over(sqlite3 *db, kms_keystore **ret_store, struct kms_why *why);

#endif
