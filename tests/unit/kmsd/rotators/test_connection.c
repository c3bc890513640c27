/* Connections to a real server: waits that somebody else ends, transactions that meet others. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/kmsd/rotators/world.h"

static kms_err open_until(const atomic_ullong *until_us, kms_connection **ret_connection, struct kms_why *why)
{
    const struct kms_login login = {"admin", POSTGRES_PASSWORD};
    return kms_connection_open_until(&database, &login, until_us, ret_connection, why);
}

static void *end_it(void *until_us)
{
    usleep(50000); /* the statement has begun, most likely; it ends in any case */
    atomic_store((atomic_ullong *)until_us, kms_monotonic_us());
    return NULL;
}

/* Far sooner than any time-out would. */
static void a_wait_that_is_ended(void)
{
    atomic_ullong until_us = 0;
    struct kms_why why = {{0}};
    KMS_OWN(kms_connection) c = NULL;
    KMS_OWN(kms_connection) d = NULL;
    pthread_t thread;
    declare(KMSD_ROTATOR_POSTGRESQL);
    database.statement_timeout_ms = 600000;
    KMS_ASSERT_OK_FATAL(open_until(&until_us, &c, &why));
    KMS_ASSERT_OK_FATAL(kms_connection_run(c, "SELECT 1", &why));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, end_it, &until_us), 0);
    KMS_ASSERT_CODE(kms_connection_run(c, "SELECT pg_sleep(1000)", &why), DATABASE_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(why.text, "kmsd stops and does not wait for an answer");
    pthread_join(thread, NULL);
    KMS_ASSERT_CODE(open_until(&until_us, &d, &why), DATABASE_UNAVAILABLE);
    atomic_store(&until_us, kms_monotonic_us() + UINT64_C(3600000000)); /* not yet */
    KMS_ASSERT_OK_FATAL(open_until(&until_us, &d, &why));
    KMS_ASSERT_OK(kms_connection_run(d, "SELECT 1", &why));
}

static kms_connection *open_one(void)
{
    struct kms_why why = {{0}};
    kms_connection *c = NULL;
    declare(KMSD_ROTATOR_POSTGRESQL);
    KMS_ASSERT_OK_FATAL(open_until(NULL, &c, &why));
    return c;
}

/* Statements that fail so, so often. */
struct failing {
    const char *state, *words;
    unsigned failures, tries;
};

static kms_err fail_so(kms_connection *c, void *user, struct kms_why *why)
{
    struct failing *f = user;
    char sql[200];
    KMS_TRY(kms_connection_run(c, "INSERT INTO tried VALUES (1)", why));
    if (f->tries++ >= f->failures) return KMS_OK;
    snprintf(sql, sizeof sql, "DO $$BEGIN RAISE EXCEPTION '%s' USING ERRCODE = '%s'; END$$", f->words,
             f->state);
    return kms_connection_run(c, sql, why);
}

static void needs_one_row(const char *table)
{
    char sql[120];
    snprintf(sql, sizeof sql, "DO $$BEGIN ASSERT (SELECT count(*) = 1 FROM %s); END$$", table);
    as_admin(sql);
}

static void a_collision_is_tried_again(void)
{
    static const char *const cases[][2] = {
        {"40001", "could not serialize"}, {"40P01", "deadlock"}, {"XX000", "tuple concurrently updated"}};
    KMS_OWN(kms_connection) c = open_one();
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_why why = {{0}};
        struct failing some = {cases[i][0], cases[i][1], 3, 0}, all = {cases[i][0], cases[i][1], 1000, 0};
        as_admin("DROP TABLE IF EXISTS tried; CREATE TABLE tried (x int)");
        KMS_ASSERT_OK(kms_connection_transact(c, fail_so, &some, &why));
        CU_ASSERT_EQUAL(some.tries, 4);
        CU_ASSERT_STRING_EQUAL(why.text, "");
        needs_one_row("tried"); /* what was tried before is undone */
        KMS_ASSERT_CODE(kms_connection_transact(c, fail_so, &all, &why), DATABASE_FAILED);
        CU_ASSERT_EQUAL(all.tries, KMS_CONNECTION_TRIES);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i][0]));
        needs_one_row("tried");
    }
}

static void other_failures_are_not(void)
{
    static const char *const cases[][2] = {{"42P01", "tuple concurrently updated"}, {"XX000", "another"}};
    KMS_OWN(kms_connection) c = open_one();
    as_admin("DROP TABLE IF EXISTS tried; CREATE TABLE tried (x int)");
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct failing f = {cases[i][0], cases[i][1], 1, 0};
        KMS_ASSERT_CODE(kms_connection_transact(c, fail_so, &f, NULL), DATABASE_FAILED);
        CU_ASSERT_EQUAL(f.tries, 1);
    }
}

static kms_err grant_to_second(kms_connection *c, void *user, struct kms_why *why)
{
    (void)user;
    return kms_connection_run(c, "GRANT SELECT ON shared TO second", why);
}

struct transacting {
    kms_connection *connection;
    kms_err err;
    struct kms_why why;
};

static void *transact(void *user)
{
    struct transacting *t = user;
    t->err = kms_connection_transact(t->connection, grant_to_second, NULL, &t->why);
    return NULL;
}

static void count_row(void *user, const char *value)
{
    (void)value;
    ++*(unsigned *)user;
}

/* False: for a very long time nobody waits for the lock of another. */
static bool somebody_waits(kms_connection *c)
{
    const uint64_t until_us = kms_monotonic_us() + 60 * UINT64_C(1000000);
    unsigned waiting = 0;
    while (waiting == 0 && kms_monotonic_us() < until_us) {
        usleep(1000);
        KMS_ASSERT_OK_FATAL(kms_connection_ask(
            c, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
            "GRANT SELECT ON shared%", count_row, &waiting, NULL));
    }
    return waiting > 0;
}

/* The server itself says so when the rights on one table are changed by two. */
static void rights_on_one_table(void)
{
    KMS_OWN(kms_connection) other = open_one();
    KMS_OWN(kms_connection) watch = open_one();
    KMS_OWN(kms_connection) c = open_one();
    struct transacting t = {.connection = c, .why = {{0}}};
    pthread_t thread;
    as_admin("CREATE TABLE shared (x int); CREATE ROLE first; CREATE ROLE second");
    KMS_ASSERT_OK_FATAL(kms_connection_run(other, "BEGIN; GRANT SELECT ON shared TO first", NULL));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, transact, &t), 0);
    CU_ASSERT_TRUE(somebody_waits(watch));
    KMS_ASSERT_OK(kms_connection_run(other, "COMMIT", NULL));
    pthread_join(thread, NULL);
    if (kms_failed(t.err)) fprintf(stderr, "\n%s\n", t.why.text);
    KMS_ASSERT_OK(t.err);
    as_admin("DO $$BEGIN ASSERT has_table_privilege('first', 'shared', 'SELECT') AND "
             "has_table_privilege('second', 'shared', 'SELECT'); END$$");
    char *log = postgres_log(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    CU_ASSERT_PTR_NOT_NULL(strstr(log, "ERROR:  tuple concurrently updated\n")); /* it did happen */
    free(log);
}

int main(void)
{
    CU_TestInfo tests[] = {{"a wait that is ended", a_wait_that_is_ended},
                           {"a collision is tried again", a_collision_is_tried_again},
                           {"other failures are not", other_failures_are_not},
                           {"rights on one table", rights_on_one_table},
                           CU_TEST_INFO_NULL};
    return run_with_server("rotators/connection", tests);
}
