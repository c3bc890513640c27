/*
 * Where the time of a call goes. The clock is read once when a call reaches a station, and what it spent at
 * the one before is remembered; when its answer has left, each station that it was at counts its time.
 */
#ifndef KMS_METRICS_STATION_H
#define KMS_METRICS_STATION_H

#include "kmsd/metrics/times.h"

/* In the order of the way. What a batch's items do before the HSM counts as the batch's gather and plan. */
enum kms_station {
    KMS_STATION_RPC,    /* who is it, decoding; from when gRPC gave the call */
    KMS_STATION_AUTHN,  /* limits of the principal */
    KMS_STATION_WAIT,   /* for an admin thread */
    KMS_STATION_GATHER, /* what the decision needs */
    KMS_STATION_DECIDE, /* policy and grants */
    KMS_STATION_PLAN,   /* the HSM's job */
    KMS_STATION_HSM,    /* to a worker, its work, and until the finish thread takes the result */
    KMS_STATION_ACT,    /* of the admin lane: all it does */
    KMS_STATION_FINISH, /* the result becomes a reply, encoded */
    KMS_STATION_AUDIT,  /* the record is made, waits for its commit, and is durable; an attempt's, too */
    KMS_STATION_REPLY,  /* back to the rpc thread, and until gRPC has written it */
    KMS_STATIONS
};
const char *kms_station_name(enum kms_station station); /* "rpc"; static */

/* A call's; whoever holds the call owns it. Zero-initialised has not begun: all but begin do nothing then. */
struct kms_journey {
    uint64_t since_ns, spent_ns[KMS_STATIONS];
    uint16_t seen; /* a bit for each station that it was at */
    uint8_t at;
};

void kms_journey_begin(struct kms_journey *journey); /* at KMS_STATION_RPC */
void kms_journey_reach(struct kms_journey *journey, enum kms_station station);
/* The same at a time that was read already (kms_monotonic_ns): of calls that are set free together. */
void kms_journey_reach_at(struct kms_journey *journey, enum kms_station station, uint64_t now_ns);

enum { KMS_STATION_LANES = 64 };
/* It is over, and is counted. From one thread for each lane, 0 .. KMS_STATION_LANES - 1. */
void kms_journey_end(const struct kms_journey *journey, unsigned lane);

/* All calls that are over, since the process began. Thread-safe. */
void kms_station_tell(enum kms_station station, struct kms_times_told *ret_told);

#endif
