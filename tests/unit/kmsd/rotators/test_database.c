/* Users for a lease in a real server: made, renewed, removed, found again, and what goes wrong on the way. */
#include "kmsd/rotators/database.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/kmsd/rotators/world.h"

/* As HashiCorp Vault's documentation has them for a read-only role. */
static const char vault_creation[] =
    "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL "
    "'{{expiration}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";";
static const struct kms_statements none = {NULL, 0};

static kms_database *open_as(const char *admin)
{
    kms_database *d = NULL;
    struct kms_why why = {{0}};
    KMS_OWN(kms_rotators) rotators = NULL;
    declare(KMSD_ROTATOR_POSTGRESQL);
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, NULL, &rotators, NULL));
    kms_err err = kms_database_open(rotators, "db", kms_bytes_text(admin), NULL, &d, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why.text);
    KMS_ASSERT_OK_FATAL(err);
    return d;
}

/* A user with a name and a password of its own, in memory that the next one replaces. */
static struct kms_database_user new_user(void)
{
    static char name[KMS_DATABASE_NAME], password[KMS_DATABASE_PASSWORD_LEN + 1];
    KMS_OWN(kms_secret) secret = NULL;
    uint64_t now = kms_now_us();
    KMS_ASSERT_OK_FATAL(kms_database_new_name("i1", "Read Only", now, name));
    KMS_ASSERT_OK_FATAL(kms_database_new_password(&secret));
    CU_ASSERT_EQUAL(kms_secret_len(secret), sizeof password);
    memcpy(password, kms_secret_data(secret), sizeof password);
    return (struct kms_database_user){name, password, now + UINT64_C(3600000000)};
}

static kms_err create(kms_database *d, const char *statement, const struct kms_database_user *u,
                      struct kms_why *why)
{
    const struct kms_bytes item = kms_bytes_text(statement);
    return kms_database_create(d, &(struct kms_statements){&item, 1}, u, why);
}

static kms_err revoke(kms_database *d, const char *statement, const struct kms_database_user *u,
                      struct kms_why *why)
{
    const struct kms_bytes item = kms_bytes_text(statement);
    return kms_database_revoke(d, &(struct kms_statements){&item, statement[0] != '\0'}, u, why);
}

static void fine(kms_err err, const struct kms_why *why)
{
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why->text);
    KMS_ASSERT_OK_FATAL(err);
}

static bool has(kms_database *d, const char *name)
{
    bool found = false;
    KMS_ASSERT_OK_FATAL(kms_database_has(d, name, &found, NULL));
    return found;
}

static kms_err can(const struct kms_database_user *u, const char *sql)
{
    const struct kms_login login = {u->name, u->password};
    KMS_OWN(kms_connection) c = NULL;
    KMS_TRY(kms_connection_open(&database, &login, &c, NULL));
    return kms_connection_run(c, sql, NULL);
}

static void as_vault_documents_it(void)
{
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    as_admin("DROP TABLE IF EXISTS t; CREATE TABLE t (x int)");
    fine(create(d, vault_creation, &u, &why), &why);
    KMS_ASSERT_OK(can(&u, "SELECT * FROM t"));
    KMS_ASSERT_CODE(can(&u, "INSERT INTO t VALUES (1)"), DATABASE_FAILED);
    u.expires_us += UINT64_C(86400000000);
    fine(kms_database_renew(d, &none, &u, &why), &why);
    char want[200], expiration[KMS_EXPIRATION_TEXT];
    kms_expiration_text(u.expires_us, expiration);
    snprintf(want, sizeof want,
             "DO $$BEGIN ASSERT (SELECT rolvaliduntil = '%s' FROM pg_roles WHERE rolname = '%s'); END$$",
             expiration, u.name);
    as_admin(want);
    for (int twice = 0; twice < 2; twice++) fine(revoke(d, "", &u, &why), &why);
    CU_ASSERT_FALSE(has(d, u.name));
    KMS_ASSERT_CODE(can(&u, "SELECT 1"), DATABASE_REFUSED);
    char *log = postgres_log(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_PTR_NULL(strstr(log, u.password)); /* a verifier stood in its place */
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:"));
    free(log);
}

static void without_scram_the_password_itself(void)
{
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    database.scram = false;
    fine(create(d, "CREATE ROLE \"{{username}}\" LOGIN PASSWORD '{{password}}'", &u, &why), &why);
    char *log = postgres_log(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, u.password));
    free(log);
    KMS_ASSERT_OK(can(&u, "SELECT 1"));
    fine(revoke(d, "", &u, &why), &why);
}

/* Rights of every kind, in two schemas, and a session that is open. */
static void the_usual_revocation(void)
{
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    KMS_OWN(kms_connection) session = NULL;
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    as_admin("DROP SCHEMA IF EXISTS \"o'ther\" CASCADE; CREATE SCHEMA \"o'ther\"; CREATE TABLE \"o'ther\".t "
             "(x int, y int);"
             "CREATE SEQUENCE \"o'ther\".s; CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql "
             "AS 'SELECT 1'");
    fine(create(d,
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; GRANT USAGE ON SCHEMA \"o'ther\" TO "
                "\"{{name}}\";"
                "GRANT SELECT (x) ON \"o'ther\".t TO \"{{name}}\"; GRANT USAGE ON SEQUENCE \"o'ther\".s TO "
                "\"{{name}}\";"
                "GRANT EXECUTE ON FUNCTION public.f() TO \"{{name}}\"; GRANT CREATE ON DATABASE postgres TO "
                "\"{{name}}\"",
                &u, &why),
         &why);
    const struct kms_login login = {u.name, u.password};
    fine(kms_connection_open(&database, &login, &session, &why), &why);
    fine(kms_connection_run(session, "SELECT x FROM \"o'ther\".t", &why), &why);
    fine(revoke(d, "", &u, &why), &why);
    CU_ASSERT_FALSE(has(d, u.name));
    CU_ASSERT_TRUE(kms_failed(kms_connection_run(session, "SELECT 1", &why)));
}

/* What cannot be dropped can at least not log in; statements of the operator's know what to do. */
static void a_user_that_owns_something(void)
{
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    as_admin("DROP SCHEMA IF EXISTS work CASCADE; CREATE SCHEMA work");
    fine(create(d,
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; GRANT ALL ON SCHEMA work TO "
                "\"{{name}}\"",
                &u, &why),
         &why);
    KMS_ASSERT_OK(can(&u, "CREATE TABLE work.mine (x int)"));
    KMS_ASSERT_CODE(revoke(d, "", &u, &why), DATABASE_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "SQLSTATE 2BP01"));
    CU_ASSERT_TRUE(has(d, u.name));
    KMS_ASSERT_CODE(can(&u, "SELECT 1"), DATABASE_REFUSED);
    KMS_ASSERT_CODE(revoke(d, "REVOKE ALL ON SCHEMA work FROM \"{{name}}\"", &u, &why), DATABASE_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "is still there after the revocation statements"));
    fine(revoke(d,
                "REASSIGN OWNED BY \"{{name}}\" TO admin; DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\"",
                &u, &why),
         &why);
    CU_ASSERT_FALSE(has(d, u.name));
    as_admin("SELECT * FROM work.mine");
}

/* All of a list or nothing of it; and the connection is good for the next. */
static void failures_leave_nothing(void)
{
    static const struct {
        const char *statement;
        enum kms_code code;
        const char *why;
    } cases[] = {
        {"CREATE ROLE \"{{name}}\" LOGIN; GRANT SELECT ON no_such_table TO \"{{name}}\"",
         KMS_E_DATABASE_FAILED, "statement 1: relation \"no_such_table\" does not exist (SQLSTATE 42P01)"},
        {"CREATE ROLE \"{{name}}\" PASSWORD {{password}}", KMS_E_DATABASE_FAILED,
         "statement 1: syntax error (SQLSTATE 42601)"},
        {"SELECT '{{name}}'", KMS_E_DATABASE_FAILED, "is not there after the creation statements"},
        {"CREATE ROLE \"{{name}}\"; COMMIT", KMS_E_INVALID_ARGUMENT, "the statements end their transaction"},
        {"SELECT 1", KMS_E_INVALID_ARGUMENT, "creation statements: none of them names"},
    };
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    struct kms_why why = {{0}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_database_user u = new_user();
        kms_err err = create(d, cases[i].statement, &u, &why);
        if (!kms_is(err, cases[i].code) || strstr(why.text, cases[i].why) == NULL)
            fprintf(stderr, "\n%s: %s\n", cases[i].statement, why.text);
        CU_ASSERT_TRUE(kms_is(err, cases[i].code));
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].why));
        CU_ASSERT_PTR_NULL(strstr(why.text, u.password));
        CU_ASSERT_EQUAL(has(d, u.name), i == 3); /* COMMIT is COMMIT: which is why it is said */
        fine(revoke(d, "", &u, &why), &why);
    }
    struct kms_database_user u = new_user();
    fine(create(d, vault_creation, &u, &why), &why);
    KMS_ASSERT_CODE(create(d, vault_creation, &u, &why), DATABASE_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "is there already"));
    fine(revoke(d, "", &u, &why), &why);
    KMS_ASSERT_CODE(kms_database_renew(d, &none, &u, &why), DATABASE_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "is not there"));
    u.name = "x\"; DROP ROLE admin; --";
    KMS_ASSERT_CODE(create(d, vault_creation, &u, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "statement 1: a value cannot stand between quotes");
}

/* A role that may make roles is enough: no superuser. */
static void a_weaker_administrator(void)
{
    as_admin("DROP TABLE IF EXISTS t; DROP ROLE IF EXISTS maker; CREATE ROLE maker LOGIN CREATEROLE PASSWORD "
             "'maker';"
             "GRANT pg_signal_backend TO maker; CREATE TABLE t (x int); GRANT SELECT ON t TO maker WITH "
             "GRANT OPTION");
    KMS_OWN(kms_database) d = open_as("{\"username\":\"maker\",\"password\":\"maker\"}");
    KMS_OWN(kms_connection) session = NULL;
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    fine(create(d,
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; GRANT SELECT ON t TO \"{{name}}\"",
                &u, &why),
         &why);
    const struct kms_login login = {u.name, u.password};
    fine(kms_connection_open(&database, &login, &session, &why), &why);
    fine(kms_connection_run(session, "SELECT * FROM t", &why), &why);
    fine(revoke(d, "", &u, &why), &why);
    CU_ASSERT_FALSE(has(d, u.name));
    CU_ASSERT_TRUE(kms_failed(kms_connection_run(session, "SELECT 1", &why)));
}

static void note_name(void *user, const char *name)
{
    kms_buf *names = user;
    KMS_ASSERT_OK_FATAL(kms_buf_print(names, "%s ", name));
}

static void users_are_found_by_their_prefix(void)
{
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    KMS_OWN_BUF names = {0}, want = {0};
    struct kms_why why = {{0}};
    as_admin("CREATE ROLE \"kms-i10-other\"; CREATE ROLE \"kms_i1_other\"; CREATE ROLE \"xkms-i1-other\"");
    struct kms_database_user u = new_user();
    fine(create(d, vault_creation, &u, &why), &why);
    KMS_ASSERT_OK_FATAL(kms_buf_print(&want, "%s ", u.name));
    fine(kms_database_list(d, "kms-i1-", note_name, &names, &why), &why);
    CU_ASSERT_STRING_EQUAL(names.data, want.data);
    fine(revoke(d, "", &u, &why), &why);
    KMS_OWN_BUF empty = {0};
    fine(kms_database_list(d, "kms-i1-", note_name, &empty, &why), &why);
    CU_ASSERT_EQUAL(empty.len, 0);
}

static void names(void)
{
    char name[KMS_DATABASE_NAME], other[KMS_DATABASE_NAME], prefix[KMS_DATABASE_PREFIX];
    KMS_ASSERT_OK(kms_database_prefix("abcdefghij12", prefix));
    CU_ASSERT_STRING_EQUAL(prefix, "kms-abcdefghij12-");
    KMS_ASSERT_OK(kms_database_new_name("abcdefghij12", "Reporting.Read/Only\xc3\xa4",
                                        UINT64_C(253402300799999999), name));
    KMS_ASSERT_OK(kms_database_new_name("abcdefghij12", "Reporting.Read/Only\xc3\xa4",
                                        UINT64_C(253402300799999999), other));
    CU_ASSERT_EQUAL(strncmp(name, "kms-abcdefghij12-reporting_read_o-", 34), 0);
    CU_ASSERT_STRING_EQUAL(name + 34 + 12, "-253402300799");
    CU_ASSERT_STRING_NOT_EQUAL(name, other);
    CU_ASSERT(strlen(name) <= 63);
    KMS_ASSERT_CODE(kms_database_new_name("a", "", 0, name), INVALID_ARGUMENT);
    static const char *const bad_instances[] = {"", "abcdefghij123", "A", "a-b", "a\"b"};
    for (size_t i = 0; i < KMS_COUNT(bad_instances); i++)
        KMS_ASSERT_CODE(kms_database_prefix(bad_instances[i], prefix), INVALID_ARGUMENT);
}

static void no_database(void)
{
    KMS_OWN(kms_rotators) rotators = NULL;
    KMS_OWN(kms_database) d = NULL;
    struct kms_why why = {{0}};
    declare(KMSD_ROTATOR_POSTGRESQL);
    KMS_ASSERT_OK_FATAL(kms_rotators_new(&conf, NULL, &rotators, NULL));
    KMS_ASSERT_CODE(kms_database_open(rotators, "other", kms_bytes_text(ADMIN_VALUE), NULL, &d, &why),
                    ROTATOR_UNKNOWN);
    KMS_ASSERT_CODE(kms_database_open(rotators, "db", kms_bytes_text("MARKER"), NULL, &d, &why),
                    VALUE_NOT_ROTATABLE);
    KMS_ASSERT_CODE(kms_database_open(rotators, "db",
                                      kms_bytes_text("{\"username\":\"admin\",\"password\":\"MARKER\"}"),
                                      NULL, &d, &why),
                    DATABASE_REFUSED);
    CU_ASSERT_PTR_NULL(strstr(why.text, "MARKER"));
    database.port = free_port();
    KMS_ASSERT_CODE(kms_database_open(rotators, "db", kms_bytes_text(ADMIN_VALUE), NULL, &d, &why),
                    DATABASE_UNAVAILABLE);
    CU_ASSERT_PTR_NULL(d);
}

/* A connection that breaks says so, and the act can be repeated on a new one. */
static void a_server_that_dies(void)
{
    struct kms_why why = {{0}};
    struct kms_database_user u = new_user();
    KMS_OWN(kms_database) d = open_as(ADMIN_VALUE);
    fine(create(d, vault_creation, &u, &why), &why);
    CU_ASSERT_TRUE_FATAL(postgres_restart(&server));
    KMS_ASSERT_CODE(revoke(d, "", &u, &why), DATABASE_UNAVAILABLE);
    KMS_OWN(kms_database) again = open_as(ADMIN_VALUE);
    fine(revoke(again, "", &u, &why), &why);
    CU_ASSERT_FALSE(has(again, u.name));
}

int main(void)
{
    CU_TestInfo tests[] = {{"as vault documents it", as_vault_documents_it},
                           {"without scram the password itself", without_scram_the_password_itself},
                           {"the usual revocation", the_usual_revocation},
                           {"a user that owns something", a_user_that_owns_something},
                           {"failures leave nothing", failures_leave_nothing},
                           {"a weaker administrator", a_weaker_administrator},
                           {"users are found by their prefix", users_are_found_by_their_prefix},
                           {"names", names},
                           {"no database", no_database},
                           {"a server that dies", a_server_that_dies},
                           CU_TEST_INFO_NULL};
    return run_with_server("rotators/database", tests);
}
