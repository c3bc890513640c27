/* Acts on database users. */
#include "kmsd/rotators/database.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "kmsd/rotators/credential.h"
#include "kmsd/rotators/random.h"

enum { ROLE_LEN = 16, RANDOM_LEN = 12 };

struct kms_database {
    const struct kmsd_conf_database *conf;
    kms_connection *connection;
};

/* Rights in the open database, by the schemas they are in: pg_shdepend has a row for each object whose list
 * of rights names the role. */
static const char schemas_sql[] =
    "SELECT DISTINCT n.nspname FROM pg_catalog.pg_shdepend d "
    "JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid "
    "LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid "
    "LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid "
    "JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(c.relnamespace, p.pronamespace, "
    "CASE WHEN d.classid = 'pg_catalog.pg_namespace'::regclass THEN d.objid END) "
    "WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.deptype = 'a' AND r.rolname = $1 "
    "AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

kms_err kms_database_open(const kms_rotators *rotators, const char *name, struct kms_bytes admin,
                          const atomic_ullong *until_us, kms_database **ret_database, struct kms_why *why)
{
    const struct kmsd_conf_database *conf = kms_rotators_database(rotators, name);
    if (conf == NULL) {
        kms_why_set(why, "no database %.63s", name);
        return KMS_FAIL(ROTATOR_UNKNOWN);
    }
    KMS_OWN_CREDENTIAL credential = {0};
    KMS_TRY(kms_credential_read(conf, admin, "admin", &credential, why));
    const struct kms_login login = {kms_credential_user(&credential), kms_credential_password(&credential)};
    KMS_OWN(kms_database) database = calloc(1, sizeof *database);
    if (database == NULL) return KMS_FAIL(NO_MEMORY);
    database->conf = conf;
    KMS_TRY(kms_connection_open_until(conf, &login, until_us, &database->connection, why));
    *ret_database = KMS_GIVE(database);
    return KMS_OK;
}

void kms_database_free(kms_database *database)
{
    if (database == NULL) return;
    kms_connection_free(database->connection);
    free(database);
}

void kms_database_drop(kms_database **database)
{
    kms_database_free(*database);
}

kms_err kms_database_prefix(const char *instance, char prefix[KMS_DATABASE_PREFIX])
{
    size_t len = strlen(instance);
    if (len == 0 || len > KMS_DATABASE_INSTANCE_MAX ||
        strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789") != len)
        return KMS_FAIL(INVALID_ARGUMENT);
    snprintf(prefix, KMS_DATABASE_PREFIX, "kms-%s-", instance);
    return KMS_OK;
}

kms_err kms_database_new_name(const char *instance, const char *role, uint64_t now_us,
                              char name[KMS_DATABASE_NAME])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32 of them: five bits each */
    char prefix[KMS_DATABASE_PREFIX], part[ROLE_LEN + 1] = "", unique[RANDOM_LEN + 1] = "";
    uint8_t random[RANDOM_LEN];
    if (role[0] == '\0') return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(kms_database_prefix(instance, prefix));
    KMS_TRY(kms_random(random, sizeof random));
    for (size_t i = 0; i < ROLE_LEN && role[i] != '\0'; i++)
        part[i] =
            isalnum((unsigned char)role[i]) && role[i] > 0 ? (char)tolower((unsigned char)role[i]) : '_';
    for (size_t i = 0; i < RANDOM_LEN; i++) unique[i] = letters[random[i] & 31];
    snprintf(name, KMS_DATABASE_NAME, "%s%s-%s-%llu", prefix, part, unique,
             (unsigned long long)(now_us / 1000000));
    return KMS_OK;
}

kms_err kms_database_new_password(kms_secret **ret_password)
{
    const struct kms_password_rules rules = {.length = KMS_DATABASE_PASSWORD_LEN,
                                             .exclude_punctuation = true};
    KMS_OWN(kms_secret) password = NULL;
    KMS_TRY(kms_password_new(&rules, &password, NULL));
    KMS_TRY(kms_secret_new(KMS_DATABASE_PASSWORD_LEN + 1, ret_password)); /* zeroed */
    kms_copy(kms_secret_data(*ret_password), kms_secret_data(password), KMS_DATABASE_PASSWORD_LEN);
    return KMS_OK;
}

/* Statements with their values, for a transaction. */
struct running {
    const struct kms_statements *statements;
    struct kms_statement_values values;
};

static kms_err run_one(kms_connection *connection, struct kms_bytes statement,
                       const struct kms_statement_values *values, struct kms_why *why)
{
    KMS_OWN(kms_secret) sql = NULL;
    kms_err err = kms_statement_fill(statement, values, &sql);
    if (kms_is(err, KMS_E_INVALID_ARGUMENT)) kms_why_set(why, "a value cannot stand between quotes");
    KMS_TRY(err);
    return kms_connection_run(connection, (const char *)kms_secret_data(sql), why);
}

static kms_err run_all(kms_connection *connection, void *user, struct kms_why *why)
{
    const struct running *r = user;
    for (size_t i = 0; i < r->statements->count; i++) {
        struct kms_why cause = {{0}};
        kms_err err = run_one(connection, r->statements->items[i], &r->values, &cause);
        if (kms_failed(err)) kms_why_set(why, "statement %zu: %s", i + 1, cause.text);
        KMS_TRY(err);
    }
    return KMS_OK;
}

/* In one transaction; password: what {{password}} becomes. */
static kms_err run_list(kms_database *database, const struct kms_statements *statements,
                        const struct kms_database_user *user, const char *password, struct kms_why *why)
{
    char expiration[KMS_EXPIRATION_TEXT];
    kms_expiration_text(user->expires_us, expiration);
    /* no password where none is needed; "-" can be none */
    struct running r = {statements, {user->name, password[0] != '\0' ? password : "-", expiration}};
    return kms_connection_transact(database->connection, run_all, &r, why);
}

static void note_row(void *user, const char *value)
{
    (void)value;
    *(bool *)user = true;
}

kms_err kms_database_has(kms_database *database, const char *name, bool *ret_has, struct kms_why *why)
{
    *ret_has = false;
    return kms_connection_ask(database->connection, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1",
                              name, note_row, ret_has, why);
}

/* The database has the user, or has not, as wanted. */
static kms_err need(kms_database *database, const char *name, bool wanted, const char *otherwise,
                    struct kms_why *why)
{
    bool has;
    KMS_TRY(kms_database_has(database, name, &has, why));
    if (has == wanted) return KMS_OK;
    kms_why_set(why, "user %.63s %s", name, otherwise);
    return KMS_FAIL(DATABASE_FAILED);
}

kms_err kms_database_create(kms_database *database, const struct kms_statements *statements,
                            const struct kms_database_user *user, struct kms_why *why)
{
    KMS_OWN(kms_secret) verifier = NULL;
    KMS_TRY(kms_statements_check(statements, "creation statements", true, why));
    KMS_TRY(need(database, user->name, false, "is there already", why));
    if (database->conf->scram)
        KMS_TRY(kms_connection_verifier(database->connection, user->name, user->password, &verifier));
    const char *password = verifier != NULL ? (const char *)kms_secret_data(verifier) : user->password;
    KMS_TRY(run_list(database, statements, user, password, why));
    return need(database, user->name, true, "is not there after the creation statements", why);
}

kms_err kms_database_renew(kms_database *database, const struct kms_statements *statements,
                           const struct kms_database_user *user, struct kms_why *why)
{
    static const char alter[] = "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'";
    const struct kms_bytes item = kms_bytes_text(alter);
    const struct kms_statements usual = {&item, 1};
    KMS_TRY(kms_statements_check(statements, "renewal statements", false, why));
    KMS_TRY(need(database, user->name, true, "is not there", why));
    return run_list(database, statements->count > 0 ? statements : &usual, user, user->password, why);
}

struct revoking {
    kms_database *database;
    const char *name;
    kms_buf sql;
    kms_err failed;
};

static kms_err put_schema(struct revoking *r, const char *schema)
{
    static const char *const kinds[] = {"ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA",
                                        "ALL ROUTINES IN SCHEMA", "SCHEMA"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        KMS_TRY(kms_buf_print(&r->sql, "REVOKE ALL PRIVILEGES ON %s ", kinds[i]));
        KMS_TRY(kms_connection_put_name(r->database->connection, schema, &r->sql));
        KMS_TRY(kms_buf_print(&r->sql, " FROM \"%s\"; ", r->name));
    }
    return KMS_OK;
}

static void take_schema(void *user, const char *schema)
{
    struct revoking *r = user;
    if (!kms_failed(r->failed)) r->failed = put_schema(r, schema);
}

static kms_err end_sessions(kms_database *database, const char *name, struct kms_why *why)
{
    return kms_connection_ask(database->connection,
                              "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                              "WHERE usename = $1",
                              name, NULL, NULL, why);
}

static kms_err run_revocation(kms_connection *connection, void *user, struct kms_why *why)
{
    const struct revoking *r = user;
    return kms_connection_run(connection, (const char *)r->sql.data, why);
}

static kms_err put_revocation(struct revoking *r, struct kms_why *why)
{
    KMS_TRY(kms_connection_ask(r->database->connection, schemas_sql, r->name, take_schema, r, why));
    KMS_TRY(r->failed);
    KMS_TRY(kms_buf_print(&r->sql, "REVOKE ALL PRIVILEGES ON DATABASE "));
    KMS_TRY(kms_connection_put_name(r->database->connection, r->database->conf->dbname, &r->sql));
    return kms_buf_print(&r->sql, " FROM \"%s\"; DROP ROLE IF EXISTS \"%s\"", r->name, r->name);
}

static kms_err revoke_as_usual(kms_database *database, const char *name, struct kms_why *why)
{
    struct revoking r = {.database = database, .name = name};
    KMS_TRY(end_sessions(database, name, why));
    kms_err err = put_revocation(&r, why);
    if (!kms_failed(err)) err = kms_connection_transact(database->connection, run_revocation, &r, why);
    kms_buf_free(&r.sql);
    return err;
}

/* By itself and first, so that a revocation which then fails leaves nothing that anybody can use. */
static kms_err forbid_login(kms_database *database, const struct kms_database_user *user, struct kms_why *why)
{
    static const char alter[] = "ALTER ROLE \"{{name}}\" NOLOGIN";
    const struct kms_bytes item = kms_bytes_text(alter);
    const struct kms_statements statements = {&item, 1};
    return run_list(database, &statements, user, "", why); /* refuses a name that quotes do not hold */
}

kms_err kms_database_revoke(kms_database *database, const struct kms_statements *statements,
                            const struct kms_database_user *user, struct kms_why *why)
{
    bool has;
    KMS_TRY(kms_statements_check(statements, "revocation statements", false, why));
    KMS_TRY(kms_database_has(database, user->name, &has, why));
    if (!has) return KMS_OK;
    KMS_TRY(forbid_login(database, user, why));
    KMS_TRY(statements->count > 0 ? run_list(database, statements, user, "", why)
                                  : revoke_as_usual(database, user->name, why));
    return need(database, user->name, false, "is still there after the revocation statements", why);
}

kms_err kms_database_list(kms_database *database, const char *prefix,
                          void (*each)(void *user, const char *name), void *user, struct kms_why *why)
{
    return kms_connection_ask(database->connection,
                              "SELECT rolname FROM pg_catalog.pg_roles "
                              "WHERE pg_catalog.left(rolname, pg_catalog.length($1)) = $1 ORDER BY rolname",
                              prefix, each, user, why);
}
