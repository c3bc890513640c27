/*
 * One connection to a PostgreSQL server (libpq), whose every wait ends by a deadline: a server that accepts
 * and never answers holds nobody up. What is not bounded is the look-up of a host name, which the resolver
 * does with time-outs of its own; the option hostaddr makes it unnecessary. Nothing is taken from the
 * environment or a home folder.
 *
 * libpq keeps user name and password in memory of its own while the connection lives, and statements until
 * they are sent (SECURITY.md): so connections are short. Not thread-safe: one owner at a time.
 */
#ifndef KMS_ROTATORS_CONNECTION_H
#define KMS_ROTATORS_CONNECTION_H

#include <stdatomic.h>

#include "base/secret.h"
#include "kmsd/conf/conf.h"

typedef struct kms_connection kms_connection;

struct kms_login {
    const char *user, *password; /* password: NUL-terminated, in locked memory; NULL: none is sent */
};

/* DATABASE_UNAVAILABLE; DATABASE_REFUSED: the server said no to this user or password; NO_MEMORY. */
KMS_MUST_USE kms_err kms_connection_open(const struct kmsd_conf_database *database,
                                         const struct kms_login *login, kms_connection **ret_connection,
                                         struct kms_why *why);
/* until_us: when it is not 0 and that moment (monotonic) is over, every wait is, too: DATABASE_UNAVAILABLE.
 * Others may set it meanwhile; it outlives the connection. NULL: no such moment. */
KMS_MUST_USE kms_err kms_connection_open_until(const struct kmsd_conf_database *database,
                                               const struct kms_login *login, const atomic_ullong *until_us,
                                               kms_connection **ret_connection, struct kms_why *why);
void kms_connection_free(kms_connection *connection); /* NULL is a no-op */
void kms_connection_drop(kms_connection **connection);
/* The server asked for the password. If not, the log-in says nothing about it. */
bool kms_connection_used_password(const kms_connection *connection);

/* Runs one or more statements and throws rows away. After a failure that is not DATABASE_FAILED the
 * connection is of no use any more. DATABASE_FAILED: the server refused one; why has its words and
 * SQLSTATE, and never the statement.
 */
KMS_MUST_USE kms_err kms_connection_run(kms_connection *connection, const char *sql, struct kms_why *why);
/* One statement with $1; each gets the first column of every row, borrowed, "" for NULL. each NULL: rows
 * are thrown away. */
KMS_MUST_USE kms_err kms_connection_ask(kms_connection *connection, const char *sql, const char *parameter,
                                        void (*each)(void *user, const char *value), void *user,
                                        struct kms_why *why);
enum { KMS_CONNECTION_TRIES = 10 };
/* run between BEGIN and COMMIT; on failure all of it is undone. When the server says that it met another
 * transaction which changed the same (deadlocks, serialization, rights on one table), it is tried again, up
 * to KMS_CONNECTION_TRIES times in all, so run may be called that often; from the second time on those that
 * had this trouble go one after the other. INVALID_ARGUMENT: the statements end the transaction by
 * themselves. */
KMS_MUST_USE kms_err kms_connection_transact(kms_connection *connection,
                                             kms_err (*run)(kms_connection *connection, void *user,
                                                            struct kms_why *why),
                                             void *user, struct kms_why *why);

/* name as an identifier, text as a literal, with their quotes, appended to sql. */
KMS_MUST_USE kms_err kms_connection_put_name(kms_connection *connection, const char *name, kms_buf *sql);
KMS_MUST_USE kms_err kms_connection_put_text(kms_connection *connection, const char *text, kms_buf *sql);
/* The SCRAM-SHA-256 verifier of a password, which servers take in its place: what they log is no password
 * then. The caller owns it. */
KMS_MUST_USE kms_err kms_connection_verifier(kms_connection *connection, const char *user,
                                             const char *password, kms_secret **ret_verifier);

#endif
