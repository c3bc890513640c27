/* When leases are renewed, replaced and given back, and what is said about it. Time is the test's. */
#include "client/kms-env/leases.h"

#include <pthread.h>
#include <unistd.h>

#include "leasing.h"

static void one_for_each_role(void)
{
    begin(false);
    KMS_OWN(kms_env_fetches) again = another();
    CU_ASSERT(is(first(world.fetches)->username, "user-1"));
    CU_ASSERT(is(first(world.fetches)->value, "s3cr3t"));
    CU_ASSERT_STRING_EQUAL(first(world.fetches)->lease_id, "ro/1");
    take("ro", again);
    take("rw", again);
    CU_ASSERT(is(first(again)->username, "user-1"));
    CU_ASSERT(is(kms_env_fetches_look(again, 1)->username, "user-2"));
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "rw/2 ro/1 ");
    CU_ASSERT_EQUAL(world.said, 0);
}

static void what_is_refused_is_told(void)
{
    begin(false);
    KMS_OWN(kms_env_fetches) other = another();
    world.make = KMS_FAIL(ACCESS_DENIED);
    take("rw", other);
    KMS_ASSERT_CODE(first(other)->err, ACCESS_DENIED);
    CU_ASSERT_STRING_EQUAL(first(other)->reason, "ACCESS_DENIED");
    CU_ASSERT_STRING_EQUAL(first(other)->why.text, "no user of rw");
    CU_ASSERT(kms_env_leases_end(world.leases));
    world.make = KMS_OK;
    take("rw", other); /* after the end nobody would give it back */
    KMS_ASSERT_CODE(first(other)->err, CANCELLED);
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/1 ");
}

static void renewed_well_before_the_end(void)
{
    begin(false);
    world.most_us = 100000 * SECOND_US;
    for (unsigned i = 0; i < 20; i++) {
        const uint64_t before_us = world.now_us;
        go_on();
        CU_ASSERT(world.now_us >= before_us + 40 * SECOND_US && world.now_us <= before_us + 50 * SECOND_US);
        CU_ASSERT_EQUAL(world.renewed, i);
    }
    CU_ASSERT_EQUAL(world.said, 0);
    const uint64_t year_s = 365 * 24 * 3600, half_us = kms_env_leases_half(world.leases, year_s) - now_us();
    CU_ASSERT(half_us > year_s * SECOND_US * 4 / 10 && half_us <= year_s * SECOND_US / 2);
    end();
}

static void what_max_ttl_ends_is_said_once(void)
{
    begin(false);
    while (world.said == 0) go_on();
    CU_ASSERT_STRING_EQUAL(
        world.words, "role ro: the lease ends at 2023-11-14T22:30:00Z and cannot be renewed beyond that "
                     "(max_ttl of the role): the program goes on, but its database user will be gone");
    CU_ASSERT(world.now_us < 1000 * SECOND_US);
    const unsigned renewed = world.renewed;
    CU_ASSERT_EQUAL(kms_env_leases_tend(world.leases), KMS_ENV_LEASES_NEVER);
    CU_ASSERT_STRING_EQUAL(
        world.words, "role ro: the lease has ended: the program goes on, but its database user is gone");
    CU_ASSERT_EQUAL(world.said, 2);
    CU_ASSERT_EQUAL(world.renewed, renewed);
    end();
}

static void what_max_ttl_ends_is_replaced(void)
{
    begin(true);
    while (world.replaced == 0) go_on();
    CU_ASSERT_STRING_EQUAL(world.words,
                           "role ro: the lease ends at 2023-11-14T22:30:00Z: there is a new user");
    CU_ASSERT_EQUAL(world.made, 2);
    CU_ASSERT_STRING_EQUAL(world.given_back, "");
    kms_env_leases_tend(world.leases);
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/1 "); /* since the new one is in use */
    CU_ASSERT_EQUAL(world.said, 1);
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/1 ro/2 ");
}

static void the_old_one_stays_while_it_is_used(void)
{
    begin(true);
    world.keeps = false;
    while (world.replaced == 0) go_on();
    kms_env_leases_settle(world.leases, world.fetches); /* a start that was under way has the old user */
    kms_env_leases_tend(world.leases);
    CU_ASSERT_STRING_EQUAL(world.given_back, "");
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/2 ro/1 ");
}

static void no_new_user_is_said_once(void)
{
    begin(true);
    world.make = KMS_FAIL(DATABASE_UNAVAILABLE);
    while (world.said == 0) go_on();
    CU_ASSERT_STRING_EQUAL(world.words,
                           "role ro: no new user can be had: no user of ro: the program goes on with the one "
                           "whose lease ends at 2023-11-14T22:30:00Z");
    for (unsigned i = 0; i < 10; i++) go_on();
    CU_ASSERT_EQUAL(world.said, 1);
    CU_ASSERT_EQUAL(world.replaced, 0);
    world.make = KMS_OK;
    go_on();
    CU_ASSERT_EQUAL(world.replaced, 1);
    end();
}

static void a_program_that_cannot_have_it_is_asked_again(void)
{
    begin(true);
    world.take = KMS_FAIL(NOT_FOUND);
    while (world.replaced < 3) go_on();
    CU_ASSERT_STRING_EQUAL(world.words, "the program cannot be given its new user: 1 value could not be had");
    CU_ASSERT_EQUAL(world.said, 2);
    CU_ASSERT_EQUAL(world.made, 2); /* one new user, however often */
    world.take = KMS_OK;
    while (world.replaced < 4) go_on();
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/2 ro/1 ");
}

static void while_the_service_is_away(void)
{
    begin(false);
    world.renew = KMS_FAIL(IO);
    while (world.said == 0) go_on();
    CU_ASSERT_STRING_EQUAL(
        world.words, "role ro: the lease cannot be renewed: refused: the program goes on, and the lease "
                     "ends at 2023-11-14T22:15:00Z unless it still can be");
    while (world.now_us < 90 * SECOND_US) go_on();
    CU_ASSERT(world.renewed > 5); /* often enough before the end */
    while (world.now_us < 600 * SECOND_US) go_on();
    CU_ASSERT(world.renewed < 30); /* and not without a pause after it */
    CU_ASSERT_EQUAL(world.said, 1);
    world.renew = KMS_OK;
    go_on();
    kms_env_leases_tend(world.leases);
    CU_ASSERT_STRING_EQUAL(world.words, "role ro: the lease is renewed again");
    end();
}

static void what_may_not_be_renewed_is_replaced(void)
{
    begin(true);
    world.renew = KMS_FAIL(ACCESS_DENIED);
    while (world.replaced == 0) go_on();
    CU_ASSERT(world.now_us > 70 * SECOND_US && world.now_us < 100 * SECOND_US);
    CU_ASSERT_EQUAL(world.said, 2);
    end();
}

/* Which the service tells when it is to be renewed. */
static void somebody_ends_it(void)
{
    world.renew = KMS_FAIL(NOT_FOUND);
    go_on();
    kms_env_leases_tend(world.leases);
    CU_ASSERT_EQUAL(world.said, 1);
    world.give_back = KMS_FAIL(NOT_FOUND);
    end();
    CU_ASSERT_EQUAL(world.said, 1); /* gone is given back */
}

static void a_lease_that_somebody_ended(void)
{
    static const char told[] = "role ro: the lease has ended: refused: the program goes on, but its database "
                               "user is gone",
                      anew[] = "role ro: the lease ended at 2023-11-14T22:15:00Z: there is a new user";
    begin(false);
    somebody_ends_it();
    CU_ASSERT_STRING_EQUAL(world.words, told);
    begin(true);
    somebody_ends_it();
    CU_ASSERT_STRING_EQUAL(world.words, anew);
    CU_ASSERT_EQUAL(world.replaced, 1);
}

static void what_cannot_be_given_back_is_said(void)
{
    begin(false);
    take("rw", world.fetches);
    world.give_back = KMS_FAIL(IO);
    end();
    CU_ASSERT_EQUAL(world.timeout_ms, 10000); /* that is all for both */
    CU_ASSERT_EQUAL(world.now_us, 10 * SECOND_US);
    CU_ASSERT_EQUAL(world.said, 2);
    CU_ASSERT_STRING_EQUAL(world.words,
                           "role ro: lease ro/1 could not be given back: not done before the deadline of the "
                           "call: it expires by itself at 2023-11-14T22:15:00Z");
}

/* Until the thread has given back so much. */
static void wait_for(const char *given_back)
{
    for (bool done = false; !done; usleep(1000)) {
        pthread_mutex_lock(&world.leases->lock);
        done = strcmp(world.given_back, given_back) == 0;
        pthread_mutex_unlock(&world.leases->lock);
    }
}

static void the_thread_tends(void)
{
    begin(true);
    KMS_OWN(kms_env_fetches) now = another();
    world.keeps = false;
    while (world.replaced == 0) go_on();
    take("ro", now);
    KMS_ASSERT_OK_FATAL(kms_env_leases_start(world.leases));
    kms_env_leases_settle(world.leases, world.fetches);
    kms_env_leases_settle(world.leases, now);
    wait_for("ro/1 ");
    end();
    CU_ASSERT_STRING_EQUAL(world.given_back, "ro/1 ro/2 ");
}

KMS_TEST_MAIN("client/kms-env/leases", {"one for each role", one_for_each_role},
              {"what is refused is told", what_is_refused_is_told},
              {"renewed well before the end", renewed_well_before_the_end},
              {"what max_ttl ends is said once", what_max_ttl_ends_is_said_once},
              {"what max_ttl ends is replaced", what_max_ttl_ends_is_replaced},
              {"the old one stays while it is used", the_old_one_stays_while_it_is_used},
              {"no new user is said once", no_new_user_is_said_once},
              {"a program that cannot have it is asked again", a_program_that_cannot_have_it_is_asked_again},
              {"while the service is away", while_the_service_is_away},
              {"what may not be renewed is replaced", what_may_not_be_renewed_is_replaced},
              {"a lease that somebody ended", a_lease_that_somebody_ended},
              {"what cannot be given back is said", what_cannot_be_given_back_is_said},
              {"the thread tends", the_thread_tends})
