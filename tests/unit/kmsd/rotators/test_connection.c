/* Connections to a real server: waits that somebody else ends. */
#include <pthread.h>
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

int main(void)
{
    CU_TestInfo tests[] = {{"a wait that is ended", a_wait_that_is_ended}, CU_TEST_INFO_NULL};
    return run_with_server("rotators/connection", tests);
}
