/* The PostgreSQL rotators against a real server: every step, twice, and cut off. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/kmsd/rotators/world.h"

static void one_role(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL);
    as_admin("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'MARKER-first'");
    struct kms_rotation r = rotation(value_of("app", "MARKER-first"));
    good(KMS_ROTATION_CREATE, &r);
    kms_secret *created = r.created;
    r.pending.bytes = made(&r);
    CU_ASSERT_PTR_NOT_NULL(
        memmem(r.pending.bytes.ptr, r.pending.bytes.len, "\"note\":1.50}", 12)); /* all else stays */
    KMS_ASSERT_CODE(log_in_with(r.pending.bytes), DATABASE_REFUSED);
    bad(KMS_ROTATION_TEST, &r, KMS_E_DATABASE_REFUSED, "password authentication failed for user \"app\"");
    good(KMS_ROTATION_CREATE, &r);
    CU_ASSERT_PTR_NULL(r.created); /* it is there */
    for (int twice = 0; twice < 2; twice++) good(KMS_ROTATION_SET, &r);
    CU_ASSERT_TRUE(postgres_restart(&server)); /* and both are killed */
    good(KMS_ROTATION_SET, &r);
    for (int twice = 0; twice < 2; twice++) good(KMS_ROTATION_TEST, &r);
    good(KMS_ROTATION_FINISH, &r);
    KMS_ASSERT_OK(log_in_with(r.pending.bytes));
    KMS_ASSERT_CODE(log_in("app", "MARKER-first"), DATABASE_REFUSED);
    KMS_OWN(kms_secret) password = member(r.pending.bytes, "password");
    CU_ASSERT_EQUAL(kms_secret_len(password), 33);
    char *log = postgres_log(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "ALTER ROLE \"app\" WITH PASSWORD 'SCRAM-SHA-256$4096:"));
    CU_ASSERT_PTR_NULL(strstr(log, (const char *)kms_secret_data(password)));
    free(log);
    kms_secret_free(created);
}

/* Stages were set back by hand while another password is in force: the previous one helps. */
static void the_previous_password_helps(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL);
    as_admin("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'older'");
    struct kms_rotation r = rotation(value_of("app", "never in force"));
    r.pending.bytes = value_of("app", "newer");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_REFUSED,
        "the server refuses user app with the pending, the current and the previous password");
    r.previous.bytes = value_of("other", "older");
    bad(KMS_ROTATION_SET, &r, KMS_E_DATABASE_REFUSED, "the server refuses user app");
    r.previous.bytes = value_of("app", "older");
    good(KMS_ROTATION_SET, &r);
    KMS_ASSERT_OK(log_in("app", "newer"));
}

static void given_up(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL);
    as_admin("DROP ROLE IF EXISTS app; CREATE ROLE app LOGIN PASSWORD 'before'");
    struct kms_rotation r = rotation(value_of("app", "before"));
    r.pending.bytes = value_of("app", "after");
    good(KMS_ROTATION_REVERT, &r); /* nothing to undo */
    good(KMS_ROTATION_SET, &r);
    KMS_ASSERT_CODE(log_in("app", "before"), DATABASE_REFUSED);
    for (int twice = 0; twice < 2; twice++) good(KMS_ROTATION_REVERT, &r);
    KMS_ASSERT_OK(log_in("app", "before"));
    KMS_ASSERT_CODE(log_in("app", "after"), DATABASE_REFUSED);
}

/* Ten rotations; the credential in use works before, between and after all steps of each. */
static void two_roles_take_turns(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL_ALTERNATING);
    as_admin("DROP TABLE IF EXISTS t; DROP ROLE IF EXISTS app_clone; DROP ROLE IF EXISTS app;"
             "CREATE ROLE app LOGIN PASSWORD 'first'; CREATE TABLE t (x int); GRANT SELECT ON t TO app");
    kms_secret *current = NULL;
    struct kms_rotation r = rotation(value_of("app", "first"));
    for (int round = 0; round < 10; round++) {
        good(KMS_ROTATION_CREATE, &r);
        kms_secret *pending = r.created;
        r.pending.bytes = made(&r);
        KMS_OWN(kms_secret) user = member(r.pending.bytes, "username");
        KMS_OWN(kms_secret) password = member(r.pending.bytes, "password");
        CU_ASSERT_STRING_EQUAL(kms_secret_data(user), round % 2 == 0 ? "app_clone" : "app");
        for (int step = KMS_ROTATION_SET; step <= KMS_ROTATION_FINISH; step++) {
            KMS_ASSERT_OK(log_in_with(r.current.bytes));
            for (int twice = 0; twice < 2; twice++) good((enum kms_rotation_step)step, &r);
        }
        KMS_ASSERT_OK(log_in_with(r.current.bytes));
        as_user((const char *)kms_secret_data(user), (const char *)kms_secret_data(password),
                "SELECT * FROM t");
        kms_secret_free(current);
        current = pending;
        r.current.bytes = r.pending.bytes;
        r.pending.bytes = (struct kms_bytes){0};
    }
    kms_secret_free(current);
}

/* The secret of an administrator has no more than a name and a password, and rotates like any other. */
static void an_administrator(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL);
    as_admin("DROP ROLE IF EXISTS chief; CREATE ROLE chief LOGIN CREATEROLE PASSWORD 'first'");
    struct kms_rotation r = rotation(kms_bytes_text("{\"password\": \"first\", \"username\": \"chief\"}"));
    good(KMS_ROTATION_CREATE, &r);
    kms_secret *created = r.created;
    r.pending.bytes = made(&r);
    good(KMS_ROTATION_SET, &r);
    good(KMS_ROTATION_TEST, &r);
    KMS_ASSERT_OK(log_in_with(r.pending.bytes));
    KMS_ASSERT_CODE(log_in("chief", "first"), DATABASE_REFUSED);
    kms_secret_free(created);
}

/* A name that means something in SQL is only a name; a clone that lost its membership gets it back. */
static void names_are_quoted(void)
{
    declare(KMSD_ROTATOR_POSTGRESQL_ALTERNATING);
    as_admin("DROP ROLE IF EXISTS \"we\"\"ird '; DROP ROLE admin; --\";"
             "CREATE ROLE \"we\"\"ird '; DROP ROLE admin; --\" LOGIN PASSWORD 'first'");
    struct kms_rotation r = rotation(value_of("we\\\"ird '; DROP ROLE admin; --", "first"));
    r.pending.bytes = value_of("we\\\"ird '; DROP ROLE admin; --_clone", "new '\\\" \\\\ \\u00e4");
    good(KMS_ROTATION_SET, &r);
    good(KMS_ROTATION_TEST, &r);
    as_admin("REVOKE \"we\"\"ird '; DROP ROLE admin; --\" FROM \"we\"\"ird '; DROP ROLE admin; --_clone\"");
    r.pending.bytes = value_of("we\\\"ird '; DROP ROLE admin; --_clone", "newer");
    good(KMS_ROTATION_SET, &r);
    as_user("we\"ird '; DROP ROLE admin; --_clone", "newer", "SET ROLE \"we\"\"ird '; DROP ROLE admin; --\"");
}

static void revoked(enum kmsd_rotator_type type, const char *user, const char *other)
{
    const struct kms_login login = {user, "old"};
    struct kms_why why = {{0}};
    declare(type);
    as_admin("DROP TABLE IF EXISTS t; DROP ROLE IF EXISTS app_clone; DROP ROLE IF EXISTS app; CREATE ROLE "
             "app LOGIN PASSWORD 'old'");
    KMS_OWN(kms_connection) session = NULL;
    KMS_ASSERT_OK_FATAL(kms_connection_open(&database, &login, &session, &why));
    KMS_ASSERT_OK_FATAL(kms_connection_run(session, "SELECT 1", &why));
    struct kms_rotation r = rotation(value_of(user, "old"));
    r.pending.bytes = value_of(other, "new");
    good(KMS_ROTATION_SET, &r);
    r.previous.bytes = r.current.bytes; /* as finishSecret moves the stages */
    r.current.bytes = r.pending.bytes;
    r.pending.bytes = (struct kms_bytes){0};
    for (int twice = 0; twice < 2; twice++) good(KMS_ROTATION_REVOKE_PREVIOUS, &r);
    KMS_ASSERT_CODE(log_in(user, "old"), DATABASE_REFUSED);
    KMS_ASSERT_OK(log_in(other, "new"));
    CU_ASSERT_TRUE(kms_failed(kms_connection_run(session, "SELECT 1", &why))); /* its session has ended */
}

static void the_previous_one_revoked(void)
{
    revoked(KMSD_ROTATOR_POSTGRESQL, "app", "app");
    revoked(KMSD_ROTATOR_POSTGRESQL_ALTERNATING, "app", "app_clone");
    struct kms_rotation r =
        rotation(value_of("app_clone", "new")); /* the next turn gives it a password again */
    r.pending.bytes = value_of("app", "newest");
    good(KMS_ROTATION_SET, &r);
    KMS_ASSERT_OK(log_in("app", "newest"));
}

static void nothing_in_the_log_of_the_server(void)
{
    char *log = postgres_log(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "statement: "));
    CU_ASSERT_PTR_NULL(strstr(log, POSTGRES_PASSWORD));
    free(log);
}

int main(void)
{
    CU_TestInfo tests[] = {{"one role", one_role},
                           {"the previous password helps", the_previous_password_helps},
                           {"given up", given_up},
                           {"two roles take turns", two_roles_take_turns},
                           {"an administrator", an_administrator},
                           {"names are quoted", names_are_quoted},
                           {"the previous one revoked", the_previous_one_revoked},
                           {"nothing in the log of the server", nothing_in_the_log_of_the_server},
                           CU_TEST_INFO_NULL};
    return run_with_server("rotators/postgres", tests);
}
