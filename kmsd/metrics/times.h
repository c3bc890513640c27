/*
 * How long something took, so many times: counted by powers of two, which is what a histogram of Prometheus
 * is made from. One thread counts, any number read.
 */
#ifndef KMS_METRICS_TIMES_H
#define KMS_METRICS_TIMES_H

#include <stdatomic.h>
#include <stdint.h>

enum { KMS_TIMES_BOUNDS = 23 }; /* 1 us, 2 us, 4 us, ... 4.194304 s; what took longer is counted behind */

/* Zero-initialised is empty. */
struct kms_times {
    atomic_ullong sum_ns, counts[KMS_TIMES_BOUNDS + 1];
};

/* By the one thread that counts here: no locked instruction, and nobody waits. */
void kms_times_add(struct kms_times *times, uint64_t ns);

/* What one or several counted together. */
struct kms_times_told {
    uint64_t count, sum_ns, counts[KMS_TIMES_BOUNDS + 1];
};
/* Adds to *told, which begins as zeros. Any thread; counts that are being added may be missing. */
void kms_times_tell(const struct kms_times *times, struct kms_times_told *told);

/* The longest time that is counted at place index, below KMS_TIMES_BOUNDS. */
uint64_t kms_times_bound_ns(unsigned index);

#endif
