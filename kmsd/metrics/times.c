/* Powers of two of a microsecond. */
#include "kmsd/metrics/times.h"

/* 1000 ns: 0; 1001 to 2000: 1; 2001 to 4000: 2. */
static unsigned place_of(uint64_t ns)
{
    uint64_t us = ns > 0 ? (ns - 1) / 1000 : 0;
    unsigned bits = us > 0 ? 64 - (unsigned)__builtin_clzll(us) : 0;
    return bits < KMS_TIMES_BOUNDS ? bits : KMS_TIMES_BOUNDS;
}

/* Nobody else writes there. */
static void add(atomic_ullong *to, uint64_t more)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + more, memory_order_relaxed);
}

void kms_times_add(struct kms_times *times, uint64_t ns)
{
    add(&times->sum_ns, ns);
    add(&times->counts[place_of(ns)], 1);
}

void kms_times_tell(const struct kms_times *times, struct kms_times_told *told)
{
    told->sum_ns += atomic_load_explicit(&times->sum_ns, memory_order_relaxed);
    for (unsigned i = 0; i <= KMS_TIMES_BOUNDS; i++) {
        uint64_t count = atomic_load_explicit(&times->counts[i], memory_order_relaxed);
        told->counts[i] += count;
        told->count += count;
    }
}

uint64_t kms_times_bound_ns(unsigned index)
{
    return UINT64_C(1000) << index;
}
