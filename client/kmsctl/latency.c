/* Below 16 us every microsecond has a bucket; above, 16 share each power of two. What is longer than 19 hours
 * counts as that. */
#include "client/kmsctl/latency.h"

#include <stddef.h>

enum { STEP_BITS = 4, LONGEST_BITS = STEP_BITS + CTL_LATENCY_POWERS };
_Static_assert(1 << STEP_BITS == CTL_LATENCY_STEPS, "a step is so many bits");

static size_t bucket_of(uint64_t us)
{
    if (us < CTL_LATENCY_STEPS) return (size_t)us;
    if (us >> LONGEST_BITS != 0) return CTL_LATENCY_BUCKETS - 1;
    unsigned power = 63u - (unsigned)__builtin_clzll(us), shift = power - STEP_BITS;
    return (size_t)(shift + 1) * CTL_LATENCY_STEPS + (size_t)(us >> shift & (CTL_LATENCY_STEPS - 1));
}

/* The largest latency of a bucket. */
static uint64_t end_of(size_t bucket)
{
    if (bucket < CTL_LATENCY_STEPS) return bucket;
    unsigned shift = (unsigned)(bucket / CTL_LATENCY_STEPS) - 1;
    return ((CTL_LATENCY_STEPS + bucket % CTL_LATENCY_STEPS + 1) << shift) - 1;
}

void ctl_latency_add(struct ctl_latency *latency, uint64_t us)
{
    latency->buckets[bucket_of(us)]++;
    latency->count++;
    latency->sum_us += us;
    if (us > latency->max_us) latency->max_us = us;
}

void ctl_latency_join(struct ctl_latency *latency, const struct ctl_latency *other)
{
    for (size_t i = 0; i < CTL_LATENCY_BUCKETS; i++) latency->buckets[i] += other->buckets[i];
    latency->count += other->count;
    latency->sum_us += other->sum_us;
    if (other->max_us > latency->max_us) latency->max_us = other->max_us;
}

uint64_t ctl_latency_percentile(const struct ctl_latency *latency, unsigned percent)
{
    uint64_t rank = latency->count / 100 * percent + (latency->count % 100 * percent + 99) / 100, seen = 0;
    if (latency->count == 0) return 0;
    for (size_t i = 0; i < CTL_LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen >= rank && seen > 0) return end_of(i) < latency->max_us ? end_of(i) : latency->max_us;
    }
    return latency->max_us;
}

uint64_t ctl_latency_mean(const struct ctl_latency *latency)
{
    return latency->count > 0 ? latency->sum_us / latency->count : 0;
}
