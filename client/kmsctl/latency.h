/*
 * How long calls took, in constant memory: a histogram whose buckets are at most a sixteenth wide, so that
 * what it tells of percentiles is at most 6.25 per cent too high. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_LATENCY_H
#define KMS_CLIENT_KMSCTL_LATENCY_H

#include <stdint.h>

enum {
    CTL_LATENCY_STEPS = 16, /* buckets from one power of two to the next */
    CTL_LATENCY_POWERS = 32,
    CTL_LATENCY_BUCKETS = CTL_LATENCY_STEPS * (CTL_LATENCY_POWERS + 1),
};

struct ctl_latency {
    uint64_t buckets[CTL_LATENCY_BUCKETS];
    uint64_t count, sum_us, max_us;
};

void ctl_latency_add(struct ctl_latency *latency, uint64_t us);
void ctl_latency_join(struct ctl_latency *latency, const struct ctl_latency *other);
/* The latency that `percent` of the calls did not exceed; 0 when there are none. */
uint64_t ctl_latency_percentile(const struct ctl_latency *latency, unsigned percent);
uint64_t ctl_latency_mean(const struct ctl_latency *latency);

#endif
