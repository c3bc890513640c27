/* Buckets: 64 for each power of two, after 64 that are one unit wide. */
#include "tests/bench/load/histogram.h"

enum { UNIT_NS = 64 };

static unsigned bucket_of(uint64_t value)
{
    if (value < 64) return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    unsigned bucket = (exponent - 5) * 64 + (unsigned)(value >> (exponent - 6) & 63);
    return bucket < LOAD_BUCKETS ? bucket : LOAD_BUCKETS - 1;
}

/* The middle of a bucket, in units. */
static double middle_of(unsigned bucket)
{
    if (bucket < 64) return bucket + 0.5;
    unsigned exponent = bucket / 64 + 5;
    double width = (double)(UINT64_C(1) << (exponent - 6));
    return (64 + bucket % 64) * width + width / 2;
}

void load_histogram_add(struct load_histogram *histogram, uint64_t ns)
{
    histogram->buckets[bucket_of(ns / UNIT_NS)]++;
    histogram->count++;
}

double load_histogram_quantile_us(const struct load_histogram *histogram, double q)
{
    if (histogram->count == 0) return 0;
    uint64_t below = (uint64_t)(q * (double)histogram->count), seen = 0;
    unsigned bucket = 0;
    while (bucket < LOAD_BUCKETS - 1 && (seen += histogram->buckets[bucket]) <= below) bucket++;
    return middle_of(bucket) * UNIT_NS / 1000;
}
