/* A journey counts at each station it was at, once, all its time; one that never began counts nowhere. */
#include "kmsd/metrics/station.h"

#include <string.h>

#include "tests/harness/suite.h"

static struct kms_times_told told_of(enum kms_station station)
{
    struct kms_times_told told;
    kms_station_tell(station, &told);
    return told;
}

static uint64_t times_at(enum kms_station station)
{
    return told_of(station).count;
}

static void names(void)
{
    for (enum kms_station station = 0; station < KMS_STATIONS; station++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(kms_station_name(station));
        for (enum kms_station other = 0; other < station; other++)
            CU_ASSERT_STRING_NOT_EQUAL(kms_station_name(station), kms_station_name(other));
    }
}

/* An attempt makes an administrative call pass the audit log twice. */
static void a_way_with_a_station_seen_twice(void)
{
    struct kms_journey journey;
    kms_journey_begin(&journey);
    uint64_t at = journey.since_ns, rpc = told_of(KMS_STATION_RPC).sum_ns, act = times_at(KMS_STATION_ACT);
    struct kms_times_told audit = told_of(KMS_STATION_AUDIT);
    kms_journey_reach_at(&journey, KMS_STATION_AUDIT, at += 1500);
    kms_journey_reach_at(&journey, KMS_STATION_ACT, at += 30000);
    kms_journey_reach_at(&journey, KMS_STATION_AUDIT, at += 7);
    kms_journey_reach_at(&journey, KMS_STATION_REPLY, at += 50000);
    CU_ASSERT_EQUAL(times_at(KMS_STATION_ACT), act); /* not before it is over */
    kms_journey_end(&journey, KMS_STATION_LANES - 1);
    CU_ASSERT_EQUAL(told_of(KMS_STATION_RPC).sum_ns, rpc + 1500);
    CU_ASSERT_EQUAL(times_at(KMS_STATION_ACT), act + 1);
    CU_ASSERT_EQUAL(times_at(KMS_STATION_HSM), 0);
    struct kms_times_told after = told_of(KMS_STATION_AUDIT);
    CU_ASSERT_EQUAL(after.sum_ns, audit.sum_ns + 80000);
    CU_ASSERT_EQUAL(after.count, audit.count + 1);
    CU_ASSERT_EQUAL(after.counts[7], audit.counts[7] + 1); /* 64 to 128 us */
}

static void the_clock_is_read_at_a_new_station_only(void)
{
    struct kms_journey journey;
    kms_journey_begin(&journey);
    kms_journey_reach(&journey, KMS_STATION_GATHER);
    uint64_t since_ns = journey.since_ns;
    kms_journey_reach(&journey, KMS_STATION_GATHER);
    CU_ASSERT_EQUAL(journey.since_ns, since_ns);
    CU_ASSERT(journey.at == KMS_STATION_GATHER && journey.spent_ns[KMS_STATION_GATHER] == 0);
}

static void lanes_are_added_up(void)
{
    uint64_t before = times_at(KMS_STATION_RPC);
    for (unsigned lane = 0; lane < KMS_STATION_LANES; lane++) {
        struct kms_journey journey;
        kms_journey_begin(&journey);
        kms_journey_end(&journey, lane);
    }
    CU_ASSERT_EQUAL(times_at(KMS_STATION_RPC), before + KMS_STATION_LANES);
}

/* Items of a batch, and what the service does by itself. */
static void one_that_never_began(void)
{
    struct kms_journey journey = {0}, untouched = {0};
    uint64_t rpc = times_at(KMS_STATION_RPC), plan = times_at(KMS_STATION_PLAN);
    kms_journey_reach(&journey, KMS_STATION_PLAN);
    kms_journey_reach_at(&journey, KMS_STATION_PLAN, 12345);
    CU_ASSERT_EQUAL(memcmp(&journey, &untouched, sizeof journey), 0);
    kms_journey_end(&journey, 0);
    CU_ASSERT(times_at(KMS_STATION_RPC) == rpc && times_at(KMS_STATION_PLAN) == plan);
}

KMS_TEST_MAIN("metrics/station", {"names", names},
              {"a way with a station seen twice", a_way_with_a_station_seen_twice},
              {"the clock is read at a new station only", the_clock_is_read_at_a_new_station_only},
              {"lanes are added up", lanes_are_added_up}, {"one that never began", one_that_never_began})
