/* Limits of one principal: rate, calls in flight, and refused calls that are counted instead of recorded. */
#include <stdio.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"
#include "tests/unit/kmsd/authn/leaf.h"

#define SECOND UINT64_C(1000000)
static const uint64_t start = 1000 * SECOND;

struct table {
    struct kms_limits *limits;
    struct kms_principal *one;
};

static struct table table_of(uint32_t rate, uint32_t burst, uint32_t in_flight)
{
    struct table t = {0};
    const struct kms_authn_options options = {.rate_per_principal = rate,
                                              .rate_burst = burst,
                                              .in_flight_per_principal = in_flight,
                                              .refused_per_second = 3};
    KMS_ASSERT_OK_FATAL(kms_limits_new(&options, &t.limits));
    t.one = kms_limits_find(t.limits, "one");
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.one);
    return t;
}

static void table_end(struct table *t)
{
    kms_limits_release(t->one);
    kms_limits_free(t->limits);
}

/* One call that is over at once. */
static bool call_at(struct table *t, uint64_t now_us)
{
    struct kms_why why = {{0}};
    kms_err err = kms_limits_enter(t->limits, t->one, 1, now_us, &why);
    if (!kms_failed(err)) {
        kms_limits_leave(t->one, 1);
        return true;
    }
    KMS_ASSERT_CODE(err, LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "limits.rate_per_principal"));
    return false;
}

static unsigned calls_at(struct table *t, uint64_t now_us, unsigned tries)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < tries; i++) passed += call_at(t, now_us);
    return passed;
}

static void rate(void)
{
    static const struct {
        uint64_t after_us;
        unsigned tries, pass;
    } steps[] = {{0, 10, 5},          {99999, 3, 0},
                 {1, 3, 1},           {SECOND / 2, 9, 5},
                 {SECOND / 5, 3, 2},  {3600 * SECOND, 9, 5},
                 {SECOND / 10, 1, 1}, {SECOND / 20, 1, 0},
                 {SECOND / 20, 2, 1}, {0, 1, 0}};
    struct table t = table_of(10, 5, 100);
    uint64_t now = start;
    for (size_t i = 0; i < KMS_COUNT(steps); i++) {
        now += steps[i].after_us;
        unsigned pass = calls_at(&t, now, steps[i].tries);
        CU_ASSERT_EQUAL(pass, steps[i].pass);
        if (pass != steps[i].pass) printf("\nstep %zu: %u", i, pass);
    }
    table_end(&t);
}

/* Whoever retries without a pause gets the same rate as everybody: time passes for him, too. */
static void impatience_costs_nothing(void)
{
    static const uint32_t rates[] = {1, 3, 10, 999, 1000, 1001, 7777};
    for (size_t i = 0; i < KMS_COUNT(rates); i++) {
        struct table t = table_of(rates[i], 2, 100);
        unsigned passed = 0;
        CU_ASSERT_EQUAL(calls_at(&t, start, 3), 2);
        for (uint64_t us = 7; us <= 2 * SECOND; us += 7) passed += call_at(&t, start + us);
        CU_ASSERT(passed >= 2 * rates[i] - 1 && passed <= 2 * rates[i]);
        if (passed < 2 * rates[i] - 1 || passed > 2 * rates[i]) printf("\nrate %u: %u", rates[i], passed);
        table_end(&t);
    }
}

static void a_clock_that_goes_back(void)
{
    struct table t = table_of(10, 2, 100);
    CU_ASSERT_EQUAL(calls_at(&t, start, 3), 2);
    CU_ASSERT_EQUAL(calls_at(&t, start - 500 * SECOND, 3), 0);
    CU_ASSERT_EQUAL(calls_at(&t, start - 499 * SECOND, 3), 2);
    table_end(&t);
}

static void rsa_keys_in_the_making(void)
{
    const struct kms_authn_options options = {.in_flight_per_principal = 9, .rsa_keys_per_principal = 2};
    struct table t = {0};
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_limits_new(&options, &t.limits));
    t.one = kms_limits_find(t.limits, "one");
    struct kms_principal *other = kms_limits_find(t.limits, "other");
    CU_ASSERT_FATAL(t.one != NULL && other != NULL);
    KMS_ASSERT_OK(kms_limits_begin_rsa(t.limits, t.one, NULL));
    KMS_ASSERT_OK(kms_limits_begin_rsa(t.limits, t.one, NULL));
    KMS_ASSERT_CODE(kms_limits_begin_rsa(t.limits, t.one, &why), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "limits.rsa_keys_per_principal"));
    KMS_ASSERT_OK(kms_limits_begin_rsa(t.limits, other, NULL));
    kms_limits_end_rsa(t.one);
    KMS_ASSERT_OK(kms_limits_begin_rsa(t.limits, t.one, NULL));
    KMS_ASSERT_CODE(kms_limits_begin_rsa(t.limits, t.one, NULL), LIMIT_EXCEEDED);
    kms_limits_release(other);
    table_end(&t);
    struct table without = table_of(0, 1, 100); /* 0: no limit */
    for (unsigned i = 0; i < 50; i++) KMS_ASSERT_OK(kms_limits_begin_rsa(without.limits, without.one, NULL));
    table_end(&without);
}

static bool batch_at(struct table *t, unsigned calls, uint64_t now_us)
{
    return !kms_failed(kms_limits_enter(t->limits, t->one, calls, now_us, NULL));
}

/* A batch of n is n calls: of the rate, in flight, and when it is refused. */
static void batches(void)
{
    struct table t = table_of(10, 20, 100);
    CU_ASSERT(batch_at(&t, 15, start));
    CU_ASSERT_FALSE(batch_at(&t, 6, start));
    CU_ASSERT(batch_at(&t, 5, start)); /* nothing is taken from who is refused */
    CU_ASSERT_FALSE(batch_at(&t, 30, start + SECOND));
    CU_ASSERT(batch_at(&t, 30, start + 2 * SECOND)); /* more than the burst: all of it, and 10 of debt */
    CU_ASSERT_FALSE(batch_at(&t, 1, start + 3 * SECOND));
    CU_ASSERT(batch_at(&t, 1, start + 3 * SECOND + SECOND / 10));
    kms_limits_leave(t.one, 51);
    table_end(&t);
    t = table_of(0, 1, 10);
    CU_ASSERT(batch_at(&t, 6, start));
    CU_ASSERT_FALSE(batch_at(&t, 5, start));
    CU_ASSERT(batch_at(&t, 4, start));
    kms_limits_leave(t.one, 4);
    CU_ASSERT_FALSE(batch_at(&t, 11, start)); /* more than there may be: only alone */
    kms_limits_leave(t.one, 6);
    CU_ASSERT(batch_at(&t, 11, start));
    CU_ASSERT_FALSE(batch_at(&t, 1, start));
    kms_limits_leave(t.one, 11);
    CU_ASSERT(batch_at(&t, 1, start));
    kms_limits_leave(t.one, 1);
    table_end(&t);
}

static void no_rate_limit(void)
{
    struct table t = table_of(0, 1, 100);
    CU_ASSERT_EQUAL(calls_at(&t, start, 1000), 1000);
    table_end(&t);
}

static void in_flight(void)
{
    struct table t = table_of(0, 1, 2);
    struct kms_principal *other = kms_limits_find(t.limits, "other");
    struct kms_why why = {{0}};
    KMS_ASSERT_OK(kms_limits_enter(t.limits, t.one, 1, start, NULL));
    KMS_ASSERT_OK(kms_limits_enter(t.limits, t.one, 1, start, NULL));
    KMS_ASSERT_CODE(kms_limits_enter(t.limits, t.one, 1, start, &why), LIMIT_EXCEEDED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "limits.in_flight_per_principal"));
    KMS_ASSERT_OK(kms_limits_enter(t.limits, other, 1, start, NULL));
    kms_limits_leave(t.one, 1);
    KMS_ASSERT_OK(kms_limits_enter(t.limits, t.one, 1, start, NULL));
    kms_limits_leave(t.one, 1);
    kms_limits_leave(t.one, 1);
    kms_limits_leave(other, 1);
    kms_limits_release(other);
    table_end(&t);
}

/* One over the limit of concurrency is not charged to the rate. */
static void in_flight_before_rate(void)
{
    struct table t = table_of(1, 2, 1);
    KMS_ASSERT_OK(kms_limits_enter(t.limits, t.one, 1, start, NULL));
    for (int i = 0; i < 5; i++)
        KMS_ASSERT_CODE(kms_limits_enter(t.limits, t.one, 1, start, NULL), LIMIT_EXCEEDED);
    kms_limits_leave(t.one, 1);
    KMS_ASSERT_OK(kms_limits_enter(t.limits, t.one, 1, start, NULL));
    kms_limits_leave(t.one, 1);
    table_end(&t);
}

struct summary {
    char principal[KMS_PRINCIPAL_BYTES];
    uint64_t count;
    unsigned visits;
};

static void visit(void *user, const char *principal, uint64_t count)
{
    struct summary *summary = user;
    snprintf(summary->principal, sizeof summary->principal, "%s", principal);
    summary->count += count;
    summary->visits++;
}

static struct summary summary_at(struct table *t, uint64_t now_us)
{
    struct summary summary = {.visits = 0};
    kms_limits_suppressed(t->limits, now_us, visit, &summary);
    return summary;
}

static unsigned recorded(struct table *t, uint64_t now_us, unsigned refusals)
{
    unsigned count = 0;
    for (unsigned i = 0; i < refusals; i++) count += kms_limits_refused(t->limits, t->one, 1, now_us);
    return count;
}

static void refusals(void)
{
    struct table t = table_of(0, 1, 1);
    CU_ASSERT_EQUAL(recorded(&t, start, 10), 3);
    CU_ASSERT_EQUAL(summary_at(&t, start + SECOND - 1).visits, 0);
    CU_ASSERT_EQUAL(recorded(&t, start + SECOND - 1, 5), 0);
    struct summary summary = summary_at(&t, start + SECOND);
    CU_ASSERT_STRING_EQUAL(summary.principal, "one");
    CU_ASSERT_EQUAL(summary.count, 12);
    CU_ASSERT_EQUAL(summary_at(&t, start + 2 * SECOND).visits, 0);
    CU_ASSERT_EQUAL(recorded(&t, start + 5 * SECOND, 4), 3);
    CU_ASSERT_EQUAL(recorded(&t, start + 6 * SECOND, 4), 3);
    CU_ASSERT_EQUAL(summary_at(&t, start + 7 * SECOND).count, 2);
    table_end(&t);
}

/* Whoever never pauses has refusals in the second at hand at every summary: the seconds before are told. */
static void a_flood_without_a_pause_is_summed_up(void)
{
    struct table t = table_of(0, 1, 1);
    for (unsigned s = 0; s < 5; s++) {
        CU_ASSERT_EQUAL(recorded(&t, start + s * SECOND, 10), 3);
        CU_ASSERT_EQUAL(summary_at(&t, start + s * SECOND + SECOND / 2).count, s > 0 ? 7 : 0);
    }
    CU_ASSERT_EQUAL(summary_at(&t, start + 5 * SECOND).count, 7);
    table_end(&t);
}

/* Hanging up neither clears the count of a flood nor gives a fresh bucket while one is owed. */
static void a_flood_is_not_forgotten_by_hanging_up(void)
{
    struct table t = table_of(1, 1, 1);
    CU_ASSERT_EQUAL(recorded(&t, start, 10), 3);
    kms_limits_release(t.one);
    CU_ASSERT_EQUAL(summary_at(&t, start).visits, 0);
    t.one = kms_limits_find(t.limits, "one");
    CU_ASSERT_EQUAL(recorded(&t, start, 10), 0);
    kms_limits_release(t.one);
    CU_ASSERT_EQUAL(kms_limits_entries(t.limits), 1);
    CU_ASSERT_EQUAL(summary_at(&t, start + SECOND).count, 17);
    CU_ASSERT_EQUAL(kms_limits_entries(t.limits), 0); /* now it can be */
    t.one = kms_limits_find(t.limits, "one");
    CU_ASSERT_EQUAL(recorded(&t, start + SECOND, 10), 3);
    table_end(&t);
}

/* A new connection for every few calls: neither more calls nor more records than with one. */
static void limits_outlive_connections(void)
{
    struct table t = table_of(10, 5, 100);
    unsigned passed = 0, records = 0;
    for (int i = 0; i < 20; i++) {
        passed += calls_at(&t, start, 1);
        records += recorded(&t, start, 1);
        kms_limits_release(t.one);
        t.one = kms_limits_find(t.limits, "one");
    }
    CU_ASSERT_EQUAL(passed, 5);
    CU_ASSERT_EQUAL(records, 3);
    table_end(&t);
}

/* Idle entries go when they would be as new: the second is over and the bucket is full. */
static void idle_entries_go(void)
{
    struct table t = table_of(10, 20, 100);
    struct kms_principal *idle = kms_limits_find(t.limits, "idle"),
                         *owing = kms_limits_find(t.limits, "owing");
    CU_ASSERT_EQUAL(kms_limits_entries(t.limits), 3);
    CU_ASSERT_EQUAL(calls_at(&t, start, 20), 20);
    for (int i = 0; i < 15; i++) {
        KMS_ASSERT_OK(kms_limits_enter(t.limits, owing, 1, start, NULL));
        kms_limits_leave(owing, 1);
    }
    kms_limits_release(idle);
    kms_limits_release(owing);
    summary_at(&t, start + SECOND);
    CU_ASSERT_EQUAL(kms_limits_entries(t.limits), 2); /* "owing" is 5 calls short of its burst */
    summary_at(&t, start + 3 * SECOND / 2);
    CU_ASSERT_EQUAL(kms_limits_entries(t.limits), 1); /* "one" is connected */
    CU_ASSERT_EQUAL(calls_at(&t, start + 2 * SECOND, 30), 20);
    table_end(&t);
}

static void names(void)
{
    struct table t = table_of(0, 1, 1);
    char name[KMS_PRINCIPAL_BYTES + 1];
    memset(name, 'n', sizeof name);
    name[KMS_PRINCIPAL_BYTES] = '\0';
    CU_ASSERT_PTR_NULL(kms_limits_find(t.limits, name));
    name[KMS_PRINCIPAL_BYTES - 1] = '\0';
    struct kms_principal *longest = kms_limits_find(t.limits, name), *again = kms_limits_find(t.limits, name);
    CU_ASSERT_PTR_NOT_NULL(longest);
    CU_ASSERT_PTR_EQUAL(longest, again);
    kms_limits_release(longest);
    kms_limits_release(again);
    kms_limits_release(NULL);
    table_end(&t);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *work(void *limits)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%u", i % 3);
        struct kms_principal *entry = kms_limits_find(limits, name);
        if (!kms_failed(kms_limits_enter(limits, entry, 1, start + i, NULL))) kms_limits_leave(entry, 1);
        kms_limits_refused(limits, entry, 1, start);
        kms_limits_release(entry);
    }
    return NULL;
}

static void many_threads(void)
{
    struct table t = table_of(1000, 10, 2);
    pthread_t threads[THREADS];
    struct summary sum = {.visits = 0};
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work, t.limits), 0);
    for (int i = 0; i < 100; i++) kms_limits_suppressed(t.limits, start, visit, &sum);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(sum.visits, 0); /* its second is not over */
    kms_limits_suppressed(t.limits, start + SECOND, visit, &sum);
    CU_ASSERT_EQUAL(sum.visits, 3);
    CU_ASSERT_EQUAL(sum.count, THREADS * ROUNDS - 9); /* each is on record or in a count */
    table_end(&t);
}

static void out_of_memory(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        struct kms_limits *limits = NULL;
        struct kms_principal *entry = NULL;
        if (!kms_failed(kms_limits_new(&(struct kms_authn_options){.rate_burst = 1}, &limits)))
            entry = kms_limits_find(limits, "one");
        CU_ASSERT_EQUAL(entry == NULL, faults_hit());
        kms_limits_release(entry);
        kms_limits_free(limits);
    }
}

KMS_TEST_MAIN("authn/limits", {"rate", rate}, {"impatience costs nothing", impatience_costs_nothing},
              {"a clock that goes back", a_clock_that_goes_back}, {"no rate limit", no_rate_limit},
              {"RSA keys in the making", rsa_keys_in_the_making}, {"batches", batches},
              {"in flight", in_flight}, {"in flight before rate", in_flight_before_rate},
              {"refusals", refusals},
              {"a flood without a pause is summed up", a_flood_without_a_pause_is_summed_up},
              {"a flood is not forgotten by hanging up", a_flood_is_not_forgotten_by_hanging_up},
              {"limits outlive connections", limits_outlive_connections},
              {"idle entries go", idle_entries_go}, {"names", names}, {"many threads", many_threads},
              {"out of memory", out_of_memory})
