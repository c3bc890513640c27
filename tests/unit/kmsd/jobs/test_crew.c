/* Threads that take what is due: all of it, of each owner one thing at a time, woken, waiting, stopped. */
#include "kmsd/jobs/crew.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/harness/suite.h"

enum { OWNERS = 8, THREADS = 4, LONG_MS = 3600 * 1000, GENEROUS_S = 60 };

/* What is due of each owner, and what happens when it is done. */
struct board {
    sem_t wake;
    atomic_int due[OWNERS], in_hand[OWNERS], runs[OWNERS], failures_left[OWNERS];
    atomic_bool together;                              /* two had something of one owner */
    void (*while_running)(struct board *b, int owner); /* NULL: nothing */
    atomic_bool stop_is_near, ended;
};

static bool claim(void *user, const kms_crew *crew, char owner[KMS_CREW_NAME_BYTES], int *ret_what)
{
    struct board *b = user;
    for (int i = 0; i < OWNERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        if (atomic_load(&b->due[i]) == 0 || kms_crew_has(crew, name)) continue;
        snprintf(owner, KMS_CREW_NAME_BYTES, "%s", name);
        *ret_what = 100 + i;
        return true;
    }
    return false;
}

static bool run(void *user, const char *owner, int what)
{
    struct board *b = user;
    int i = atoi(owner);
    if (atomic_fetch_add(&b->in_hand[i], 1) > 0 || what != 100 + i) atomic_store(&b->together, true);
    if (b->while_running != NULL) b->while_running(b, i);
    atomic_fetch_add(&b->runs[i], 1);
    bool fails = atomic_fetch_sub(&b->failures_left[i], 1) > 0;
    if (!fails) atomic_fetch_sub(&b->due[i], 1);
    atomic_fetch_sub(&b->in_hand[i], 1);
    return !fails;
}

static kms_crew *start(struct board *b, uint32_t interval_ms)
{
    kms_crew *crew = NULL;
    const struct kms_crew_work work = {"crew", &b->wake, claim, run, b};
    CU_ASSERT_EQUAL_FATAL(sem_init(&b->wake, 0, 0), 0);
    KMS_ASSERT_OK_FATAL(kms_crew_start(&work, THREADS, interval_ms, &crew));
    return crew;
}

/* False when it does not come true for a very long time. */
static bool comes_to(atomic_int *value, int want)
{
    const uint64_t until_us = kms_monotonic_us() + GENEROUS_S * UINT64_C(1000000);
    while (atomic_load(value) != want && kms_monotonic_us() < until_us) usleep(1000);
    return atomic_load(value) == want;
}

static void all_of_it_one_owner_at_a_time(void)
{
    struct board b = {.together = false};
    for (int i = 0; i < OWNERS; i++) atomic_store(&b.due[i], 50);
    kms_crew *crew = start(&b, LONG_MS); /* nobody waits for a next look */
    for (int i = 0; i < OWNERS; i++) CU_ASSERT_TRUE(comes_to(&b.due[i], 0));
    kms_crew_stop(crew);
    for (int i = 0; i < OWNERS; i++) CU_ASSERT_EQUAL(atomic_load(&b.runs[i]), 50);
    CU_ASSERT_FALSE(atomic_load(&b.together));
    sem_destroy(&b.wake);
}

static void woken_when_something_is_due(void)
{
    struct board b = {.together = false};
    kms_crew *crew = start(&b, LONG_MS);
    atomic_store(&b.due[3], 1);
    sem_post(&b.wake);
    CU_ASSERT_TRUE(comes_to(&b.due[3], 0));
    kms_crew_stop(crew);
    sem_destroy(&b.wake);
}

static void wait_for_the_others(struct board *b, int owner)
{
    for (int i = 1; owner == 0 && i < OWNERS; i++) CU_ASSERT_TRUE(comes_to(&b->due[i], 0));
}

static void one_that_waits_holds_up_no_other(void)
{
    struct board b = {.while_running = wait_for_the_others};
    for (int i = 0; i < OWNERS; i++) atomic_store(&b.due[i], 2);
    kms_crew *crew = start(&b, LONG_MS);
    CU_ASSERT_TRUE(comes_to(&b.due[0], 0));
    kms_crew_stop(crew);
    sem_destroy(&b.wake);
}

static void what_failed_is_tried_again(void)
{
    struct board b = {.together = false};
    atomic_store(&b.due[0], 1);
    atomic_store(&b.due[1], 1);
    atomic_store(&b.failures_left[0], 3);
    kms_crew *crew = start(&b, 1);
    CU_ASSERT_TRUE(comes_to(&b.due[1], 0));
    CU_ASSERT_TRUE(comes_to(&b.due[0], 0));
    kms_crew_stop(crew);
    CU_ASSERT_EQUAL(atomic_load(&b.runs[0]), 4);
    CU_ASSERT_EQUAL(atomic_load(&b.runs[1]), 1);
    sem_destroy(&b.wake);
}

static void until_the_stop(struct board *b, int owner)
{
    (void)owner;
    const uint64_t until_us = kms_monotonic_us() + GENEROUS_S * UINT64_C(1000000);
    while (!atomic_load(&b->stop_is_near) && kms_monotonic_us() < until_us) usleep(1000);
    usleep(20000); /* so that the stop is waiting, most likely; it holds in any case */
    atomic_store(&b->ended, true);
}

static void stopping_waits_for_what_is_under_way_only(void)
{
    struct board b = {.while_running = until_the_stop};
    atomic_store(&b.due[0], 1000);
    kms_crew *crew = start(&b, LONG_MS);
    CU_ASSERT_TRUE(comes_to(&b.in_hand[0], 1));
    atomic_store(&b.stop_is_near, true);
    kms_crew_stop(crew);
    CU_ASSERT_TRUE(atomic_load(&b.ended));
    CU_ASSERT_TRUE(atomic_load(&b.due[0]) > 0);
    kms_crew_stop(NULL);
    sem_destroy(&b.wake);
}

KMS_TEST_MAIN("jobs/crew", {"all of it, one owner at a time", all_of_it_one_owner_at_a_time},
              {"woken when something is due", woken_when_something_is_due},
              {"one that waits holds up no other", one_that_waits_holds_up_no_other},
              {"what failed is tried again", what_failed_is_tried_again},
              {"stopping waits for what is under way only", stopping_waits_for_what_is_under_way_only})
