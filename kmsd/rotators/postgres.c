/*
 * The types postgresql and postgresql-alternating, step by step as AWS's published rotation functions do
 * it. The former changes the password of one role, which does it itself. The latter takes turns between a
 * role and its clone (the name with _clone behind it), so that the credential in use stays good until the
 * new one is: the clone is made by an administrator, as a member of the role.
 */
#include <stdio.h>
#include <string.h>

#include "kmsd/rotators/credential.h"
#include "kmsd/rotators/internal.h"
#include "kmsd/rotators/value.h"

#define CLONE_SUFFIX "_clone"
enum { ROLE_BYTES = 64 /* a name of 63 bytes and NUL */, CLONE_LEN = sizeof CLONE_SUFFIX - 1 };

static bool alternating(const struct kms_rotator_call *call)
{
    return call->conf->type == KMSD_ROTATOR_POSTGRESQL_ALTERNATING;
}

static bool is_clone(const char *user)
{
    size_t len = strlen(user);
    return len > CLONE_LEN && strcmp(user + len - CLONE_LEN, CLONE_SUFFIX) == 0;
}

/* The role whose turn is next after this one's. */
static kms_err next_user(const struct kms_rotator_call *call, const char *user, char next[ROLE_BYTES])
{
    size_t len = strlen(user);
    if (!alternating(call))
        snprintf(next, ROLE_BYTES, "%s", user);
    else if (is_clone(user))
        snprintf(next, ROLE_BYTES, "%.*s", (int)(len - CLONE_LEN), user);
    else if (len + CLONE_LEN >= ROLE_BYTES)
        return kms_rotator_refuse(call, "the user name is too long to have _clone behind it");
    else
        snprintf(next, ROLE_BYTES, "%s" CLONE_SUFFIX, user);
    return KMS_OK;
}

static kms_err read_value(const struct kms_rotator_call *call, struct kms_bytes value, const char *which,
                          kms_credential *credential)
{
    return kms_credential_read(call->database, value, which, credential, call->why);
}

static kms_err create(const struct kms_rotator_call *call)
{
    char user[ROLE_BYTES];
    KMS_OWN_CREDENTIAL current = {0};
    KMS_OWN(kms_secret) password = NULL;
    KMS_OWN(kms_secret) renamed = NULL;
    struct kms_bytes value = call->rotation->current.bytes;
    struct kms_password_rules rules = kms_rotator_rules(call->conf);
    KMS_TRY(read_value(call, value, "current", &current));
    KMS_TRY(next_user(call, kms_credential_user(&current), user));
    KMS_TRY(kms_password_new(&rules, &password, call->why));
    KMS_TRY(kms_value_replace(value, "username", kms_bytes_text(user), &renamed));
    value = kms_bytes_of(kms_secret_data(renamed), kms_secret_len(renamed));
    struct kms_bytes fresh = kms_bytes_of(kms_secret_data(password), kms_secret_len(password));
    call->rotation->created_binary = false;
    return kms_value_replace(value, "password", fresh, &call->rotation->created);
}

/* DATABASE_REFUSED means that this password is not the role's. A server that does not ask for it would make
 * every password look right. */
static kms_err log_in(const struct kms_rotator_call *call, const kms_credential *credential,
                      kms_connection **ret_connection)
{
    const struct kms_login login = {kms_credential_user(credential), kms_credential_password(credential)};
    KMS_OWN(kms_connection) connection = NULL;
    KMS_TRY(kms_connection_open(call->database, &login, &connection, call->why));
    if (!kms_connection_used_password(connection)) {
        kms_why_set(call->why,
                    "the server did not ask user %s for a password (trust, peer or cert in pg_hba.conf): "
                    "a log-in proves nothing",
                    kms_credential_user(credential));
        return KMS_FAIL(DATABASE_FAILED);
    }
    *ret_connection = KMS_GIVE(connection);
    return KMS_OK;
}

static kms_err log_in_as_admin(const struct kms_rotator_call *call, kms_connection **ret_connection)
{
    KMS_OWN_CREDENTIAL admin = {0};
    struct kms_why cause = {{0}};
    KMS_TRY(read_value(call, call->rotation->admin, "admin", &admin));
    const struct kms_login login = {kms_credential_user(&admin), kms_credential_password(&admin)};
    kms_err err = kms_connection_open(call->database, &login, ret_connection, &cause);
    if (kms_failed(err))
        kms_why_set(call->why, "admin secret %.100s: %s", call->database->admin_secret, cause.text);
    return err;
}

/* "ALTER ROLE x ... PASSWORD 'verifier'"; verb is what stands before the name. */
static kms_err put_password(kms_connection *connection, const char *verb, const kms_credential *credential,
                            kms_buf *sql)
{
    const char *user = kms_credential_user(credential);
    KMS_OWN(kms_secret) verifier = NULL;
    KMS_TRY(kms_connection_verifier(connection, user, kms_credential_password(credential), &verifier));
    KMS_TRY(kms_buf_print(sql, "%s ROLE ", verb));
    KMS_TRY(kms_connection_put_name(connection, user, sql));
    KMS_TRY(kms_buf_print(sql, verb[0] == 'C' ? " WITH LOGIN PASSWORD " : " WITH PASSWORD "));
    return kms_connection_put_text(connection, (const char *)kms_secret_data(verifier), sql);
}

static kms_err set_password(const struct kms_rotator_call *call, kms_connection *connection,
                            const kms_credential *credential)
{
    KMS_OWN_BUF sql = {0};
    KMS_TRY(put_password(connection, "ALTER", credential, &sql));
    return kms_connection_run(connection, (const char *)sql.data, call->why);
}

/* other, the pending or the previous one, is of the role that takes turns with the current one. */
static kms_err check_user(const struct kms_rotator_call *call, const char *which,
                          const kms_credential *current, const kms_credential *other)
{
    char next[ROLE_BYTES];
    KMS_TRY(next_user(call, kms_credential_user(current), next));
    if (strcmp(next, kms_credential_user(other)) == 0) return KMS_OK;
    kms_why_set(call->why, "the %s value is of user %s, and not of %s", which, kms_credential_user(other),
                next);
    return KMS_FAIL(VALUE_NOT_ROTATABLE);
}

/* With the previous password, when pending and current are refused: a rotation may have been given up when
 * the new value was in force, and the stages were set back by hand. */
static kms_err log_in_as_previous(const struct kms_rotator_call *call, const kms_credential *pending,
                                  kms_connection **ret_connection)
{
    KMS_OWN_CREDENTIAL previous = {0};
    if (call->rotation->previous.bytes.ptr != NULL)
        KMS_TRY(read_value(call, call->rotation->previous.bytes, "previous", &previous));
    if (previous.user != NULL && strcmp(kms_credential_user(&previous), kms_credential_user(pending)) == 0) {
        kms_err err = log_in(call, &previous, ret_connection);
        if (!kms_is(err, KMS_E_DATABASE_REFUSED)) return err;
    }
    kms_why_set(call->why,
                "the server refuses user %s with the pending, the current and the previous password",
                kms_credential_user(pending));
    return KMS_FAIL(DATABASE_REFUSED);
}

static kms_err set_single(const struct kms_rotator_call *call, const kms_credential *current,
                          const kms_credential *pending)
{
    KMS_OWN(kms_connection) connection = NULL;
    kms_err err = log_in(call, current, &connection);
    if (kms_is(err, KMS_E_DATABASE_REFUSED)) err = log_in_as_previous(call, pending, &connection);
    KMS_TRY(err);
    return set_password(call, connection, pending);
}

struct granting {
    const struct kms_rotator_call *call;
    const kms_credential *current, *pending;
    bool exists;
};

static void note_row(void *user, const char *value)
{
    bool *found = user;
    (void)value;
    *found = true;
}

/* The clone is a member of its role each time, not only when it is made: a grant that somebody took away
 * comes back. The reverse would be a circle. */
static kms_err grant(kms_connection *connection, void *user, struct kms_why *why)
{
    const struct granting *g = user;
    const char *pending = kms_credential_user(g->pending);
    KMS_OWN_BUF sql = {0};
    KMS_TRY(put_password(connection, g->exists ? "ALTER" : "CREATE", g->pending, &sql));
    if (!g->exists || is_clone(pending)) {
        KMS_TRY(kms_buf_print(&sql, "; GRANT "));
        KMS_TRY(kms_connection_put_name(connection, kms_credential_user(g->current), &sql));
        KMS_TRY(kms_buf_print(&sql, " TO "));
        KMS_TRY(kms_connection_put_name(connection, pending, &sql));
    }
    return kms_connection_run(connection, (const char *)sql.data, why);
}

static kms_err find_role(kms_connection *connection, const char *name, bool *ret_exists, struct kms_why *why)
{
    *ret_exists = false;
    return kms_connection_ask(connection, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1", name,
                              note_row, ret_exists, why);
}

/* The current credential must be good before an administrator acts for it: else whoever may write the
 * secret could have the password of any role changed. */
static kms_err set_alternating(const struct kms_rotator_call *call, const kms_credential *current,
                               const kms_credential *pending)
{
    struct granting g = {.call = call, .current = current, .pending = pending};
    KMS_OWN(kms_connection) proof = NULL;
    KMS_OWN(kms_connection) admin = NULL;
    KMS_TRY(log_in(call, current, &proof));
    KMS_TRY(log_in_as_admin(call, &admin));
    KMS_TRY(find_role(admin, kms_credential_user(pending), &g.exists, call->why));
    return kms_connection_transact(admin, grant, &g, call->why);
}

static kms_err set(const struct kms_rotator_call *call)
{
    KMS_OWN_CREDENTIAL current = {0}, pending = {0};
    KMS_OWN(kms_connection) done = NULL;
    KMS_TRY(read_value(call, call->rotation->pending.bytes, "pending", &pending));
    KMS_TRY(read_value(call, call->rotation->current.bytes, "current", &current));
    KMS_TRY(check_user(call, "pending", &current, &pending));
    kms_err err = log_in(call, &pending, &done);
    if (!kms_is(err, KMS_E_DATABASE_REFUSED)) return err; /* works already, or cannot be known */
    return alternating(call) ? set_alternating(call, &current, &pending)
                             : set_single(call, &current, &pending);
}

static kms_err test(const struct kms_rotator_call *call)
{
    KMS_OWN_CREDENTIAL pending = {0};
    KMS_OWN(kms_connection) connection = NULL;
    KMS_TRY(read_value(call, call->rotation->pending.bytes, "pending", &pending));
    KMS_TRY(log_in(call, &pending, &connection));
    return kms_connection_run(connection, "SELECT pg_catalog.now()", call->why);
}

static kms_err revert(const struct kms_rotator_call *call)
{
    KMS_OWN_CREDENTIAL current = {0}, pending = {0};
    KMS_OWN(kms_connection) connection = NULL;
    if (alternating(call)) return KMS_OK; /* the current role was not touched */
    KMS_TRY(read_value(call, call->rotation->current.bytes, "current", &current));
    kms_err err = log_in(call, &current, &connection);
    if (!kms_is(err, KMS_E_DATABASE_REFUSED)) return err;
    KMS_TRY(read_value(call, call->rotation->pending.bytes, "pending", &pending));
    KMS_TRY(check_user(call, "pending", &current, &pending));
    KMS_TRY(log_in(call, &pending, &connection));
    return set_password(call, connection, &current);
}

static kms_err end_sessions(const struct kms_rotator_call *call, kms_connection *connection, const char *user)
{
    return kms_connection_ask(connection,
                              "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                              "WHERE usename = $1 AND pid <> pg_catalog.pg_backend_pid()",
                              user, NULL, NULL, call->why);
}

/* The role of the previous value has no password until its turn comes again. */
static kms_err disable_previous(const struct kms_rotator_call *call, const kms_credential *current,
                                const kms_credential *previous)
{
    KMS_OWN_BUF sql = {0};
    KMS_OWN(kms_connection) admin = NULL;
    KMS_TRY(check_user(call, "previous", current, previous));
    KMS_TRY(log_in_as_admin(call, &admin));
    KMS_TRY(kms_buf_print(&sql, "ALTER ROLE "));
    KMS_TRY(kms_connection_put_name(admin, kms_credential_user(previous), &sql));
    KMS_TRY(kms_buf_print(&sql, " WITH PASSWORD NULL"));
    KMS_TRY(kms_connection_run(admin, (const char *)sql.data, call->why));
    return end_sessions(call, admin, kms_credential_user(previous));
}

static kms_err revoke_previous(const struct kms_rotator_call *call)
{
    KMS_OWN_CREDENTIAL current = {0}, previous = {0};
    KMS_OWN(kms_connection) connection = NULL;
    KMS_OWN(kms_connection) still = NULL;
    if (call->rotation->previous.bytes.ptr == NULL) return KMS_OK;
    KMS_TRY(read_value(call, call->rotation->current.bytes, "current", &current));
    KMS_TRY(read_value(call, call->rotation->previous.bytes, "previous", &previous));
    KMS_TRY(log_in(call, &current, &connection));
    if (alternating(call))
        KMS_TRY(disable_previous(call, &current, &previous));
    else
        KMS_TRY(end_sessions(call, connection, kms_credential_user(&current)));
    kms_err err = log_in(call, &previous, &still);
    if (kms_is(err, KMS_E_DATABASE_REFUSED)) return KMS_OK;
    KMS_TRY(err);
    kms_why_set(call->why, "the previous password of user %s still works", kms_credential_user(&previous));
    return KMS_FAIL(DATABASE_FAILED);
}

kms_err kms_rotator_postgres(const struct kms_rotator_call *call)
{
    switch (call->step) {
    case KMS_ROTATION_CREATE:
        return create(call);
    case KMS_ROTATION_SET:
        return set(call);
    case KMS_ROTATION_TEST:
        return test(call);
    case KMS_ROTATION_FINISH:
        return KMS_OK;
    case KMS_ROTATION_REVERT:
        return revert(call);
    case KMS_ROTATION_REVOKE_PREVIOUS:
        return revoke_previous(call);
    }
    return KMS_FAIL(INTERNAL);
}
