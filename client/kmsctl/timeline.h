/*
 * Calls over time in constant memory: intervals of equal length that grow when more time has to fit. Times
 * may come in any order. Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_TIMELINE_H
#define KMS_CLIENT_KMSCTL_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

enum { CTL_TIMELINE_BINS = 120 };

enum ctl_result { CTL_RESULT_OK, CTL_RESULT_FAILED, CTL_RESULT_DENIED, CTL_RESULTS };

struct ctl_bin {
    uint64_t calls[CTL_RESULTS];
};

/* Zero-initialised is empty. */
struct ctl_timeline {
    struct ctl_bin bins[CTL_TIMELINE_BINS];
    size_t count;     /* of bins from the first call to the last */
    uint64_t first;   /* the first bin begins at first * length */
    uint64_t seconds; /* length of a bin; 0: empty */
};

void ctl_timeline_add(struct ctl_timeline *timeline, uint64_t second, enum ctl_result result, uint64_t calls);
/* Makes bins longer until there are at most so many. */
void ctl_timeline_fit(struct ctl_timeline *timeline, size_t bins);
uint64_t ctl_timeline_start(const struct ctl_timeline *timeline, size_t bin); /* seconds since 1970 */
uint64_t ctl_bin_calls(const struct ctl_bin *bin);                            /* of any result */
/* "1 s", "15 min", "3 h", "7 d": the length of a bin. */
void ctl_timeline_length(const struct ctl_timeline *timeline, char text[24]);

#endif
