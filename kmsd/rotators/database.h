/*
 * Users that live as long as a lease: made, renewed and removed in a declared database by statements of the
 * operator's, as HashiCorp Vault's database engine does it. What exists is asked of the database, not
 * remembered.
 *
 * A kms_database is one administrator's connection: open it for a batch of acts, not for good (connection.h
 * says what libpq keeps). After DATABASE_UNAVAILABLE it is of no use any more. Not thread-safe: one owner
 * at a time. Errors of all: DATABASE_UNAVAILABLE, DATABASE_REFUSED (the administrator's log-in),
 * DATABASE_FAILED (a statement, with its number, the server's words and SQLSTATE in why), INVALID_ARGUMENT,
 * NO_MEMORY.
 */
#ifndef KMS_ROTATORS_DATABASE_H
#define KMS_ROTATORS_DATABASE_H

#include "kmsd/rotators/connection.h"
#include "kmsd/rotators/rotator.h"
#include "kmsd/rotators/statements.h"

typedef struct kms_database kms_database;

enum {
    KMS_DATABASE_NAME = 64,         /* a user name of at most 63 bytes, and NUL */
    KMS_DATABASE_PREFIX = 18,       /* what our names begin with, and NUL */
    KMS_DATABASE_INSTANCE_MAX = 12, /* characters of an instance id */
    KMS_DATABASE_PASSWORD_LEN = 32,
};

/* admin: SecretString of the database's admin_secret, in locked memory. until_us: as of
 * kms_connection_open_until, or NULL. ROTATOR_UNKNOWN: no such database is
 * declared; VALUE_NOT_ROTATABLE: admin is no {"username", "password"}. */
KMS_MUST_USE kms_err kms_database_open(const kms_rotators *rotators, const char *name, struct kms_bytes admin,
                                       const atomic_ullong *until_us, kms_database **ret_database,
                                       struct kms_why *why);
void kms_database_free(kms_database *database); /* NULL is a no-op */
void kms_database_drop(kms_database **database);

/* "kms-INSTANCE-": every user of this service's begins so, and nobody else's. instance: 1 to
 * KMS_DATABASE_INSTANCE_MAX lower-case letters and digits, else INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_database_prefix(const char *instance, char prefix[KMS_DATABASE_PREFIX]);
/* A new name: the prefix, the role (lower case, cut to 16, other signs as _), random letters, the second it
 * was made.
 */
KMS_MUST_USE kms_err kms_database_new_name(const char *instance, const char *role, uint64_t now_us,
                                           char name[KMS_DATABASE_NAME]);
/* A new password of letters and digits, NUL-terminated, KMS_DATABASE_PASSWORD_LEN long; the caller's. */
KMS_MUST_USE kms_err kms_database_new_password(kms_secret **ret_password);

struct kms_database_user {
    const char *name; /* of kms_database_new_name */
    const char
        *password; /* NUL-terminated, of letters and digits; "" where none is needed (renewal, revocation) */
    uint64_t expires_us;
};

/* All statements in one transaction; {{password}} becomes a SCRAM verifier unless the database's option
 * scram is off. DATABASE_FAILED also when the user is not there afterwards, or was there before. */
KMS_MUST_USE kms_err kms_database_create(kms_database *database, const struct kms_statements *statements,
                                         const struct kms_database_user *user, struct kms_why *why);
/* No statements: ALTER ROLE ... VALID UNTIL. DATABASE_FAILED also when there is no such user. */
KMS_MUST_USE kms_err kms_database_renew(kms_database *database, const struct kms_statements *statements,
                                        const struct kms_database_user *user, struct kms_why *why);
/*
 * The user can no longer log in, first of all and whatever follows. Then the statements in one transaction;
 * without any, its sessions end, its rights in this database are revoked, and it is dropped. OK means that
 * the database says that there is no such user, also if there was none. Repeat it after any failure.
 */
KMS_MUST_USE kms_err kms_database_revoke(kms_database *database, const struct kms_statements *statements,
                                         const struct kms_database_user *user, struct kms_why *why);

KMS_MUST_USE kms_err kms_database_has(kms_database *database, const char *name, bool *ret_has,
                                      struct kms_why *why);
/* Every role whose name begins with prefix, sorted; each must not use the database. */
KMS_MUST_USE kms_err kms_database_list(kms_database *database, const char *prefix,
                                       void (*each)(void *user, const char *name), void *user,
                                       struct kms_why *why);

#endif
