/* Latencies in buckets at most 1/64 of their value wide. Zero-initialised is empty. Not thread-safe. */
#ifndef KMS_LOAD_HISTOGRAM_H
#define KMS_LOAD_HISTOGRAM_H

#include <stdint.h>

enum { LOAD_BUCKETS = 40 * 64 };

struct load_histogram {
    uint32_t buckets[LOAD_BUCKETS];
    uint64_t count;
};

void load_histogram_add(struct load_histogram *histogram, uint64_t ns);
/* The value that the share q (0 to 1) of all lies below, in us; 0 when empty. */
double load_histogram_quantile_us(const struct load_histogram *histogram, double q);

#endif
