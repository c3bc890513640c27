/* Each lane counts for itself; whoever asks adds up. */
#include "kmsd/metrics/station.h"

#include "base/clock.h"

static const char *const names[KMS_STATIONS] = {
    [KMS_STATION_RPC] = "rpc",       [KMS_STATION_AUTHN] = "authn",   [KMS_STATION_WAIT] = "wait",
    [KMS_STATION_GATHER] = "gather", [KMS_STATION_DECIDE] = "decide", [KMS_STATION_PLAN] = "plan",
    [KMS_STATION_HSM] = "hsm",       [KMS_STATION_ACT] = "act",       [KMS_STATION_FINISH] = "finish",
    [KMS_STATION_AUDIT] = "audit",   [KMS_STATION_REPLY] = "reply",
};

/* Lanes do not share cache lines. */
static struct {
    _Alignas(64) struct kms_times stations[KMS_STATIONS];
} lanes[KMS_STATION_LANES];

const char *kms_station_name(enum kms_station station)
{
    return names[station];
}

void kms_journey_begin(struct kms_journey *journey)
{
    *journey = (struct kms_journey){.since_ns = kms_monotonic_ns(), .seen = 1u << KMS_STATION_RPC};
}

void kms_journey_reach_at(struct kms_journey *journey, enum kms_station station, uint64_t now_ns)
{
    if (journey->since_ns == 0) return;
    journey->spent_ns[journey->at] += now_ns - journey->since_ns;
    journey->since_ns = now_ns;
    journey->at = (uint8_t)station;
    journey->seen = (uint16_t)(journey->seen | 1u << station);
}

void kms_journey_reach(struct kms_journey *journey, enum kms_station station)
{
    if (journey->since_ns == 0 || journey->at == station) return;
    kms_journey_reach_at(journey, station, kms_monotonic_ns());
}

void kms_journey_end(const struct kms_journey *journey, unsigned lane)
{
    if (journey->since_ns == 0) return;
    struct kms_journey over = *journey;
    kms_journey_reach_at(&over, over.at, kms_monotonic_ns());
    for (unsigned station = 0; station < KMS_STATIONS; station++)
        if (over.seen >> station & 1) kms_times_add(&lanes[lane].stations[station], over.spent_ns[station]);
}

void kms_station_tell(enum kms_station station, struct kms_times_told *ret_told)
{
    *ret_told = (struct kms_times_told){.count = 0};
    for (unsigned lane = 0; lane < KMS_STATION_LANES; lane++)
        kms_times_tell(&lanes[lane].stations[station], ret_told);
}
