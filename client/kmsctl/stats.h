/*
 * What a stretch of the audit log adds up to: calls, denials and latency, altogether, by name, and over time.
 * Memory is bounded: of names, the first CTL_STATS_NAMES are told apart, the calls of all others are one sum.
 * Not thread-safe.
 */
#ifndef KMS_CLIENT_KMSCTL_STATS_H
#define KMS_CLIENT_KMSCTL_STATS_H

#include <jansson.h>

#include "base/bytes.h"
#include "client/kmsctl/latency.h"
#include "client/kmsctl/timeline.h"

enum { CTL_STATS_NAMES = 4096 };

enum ctl_stats_by {
    CTL_BY_PRINCIPAL,
    CTL_BY_KEY,
    CTL_BY_OPERATION,
    CTL_BY_OUTCOME,
    CTL_BY_HOUR,
    CTL_BY_DAY,
};

typedef struct ctl_stats ctl_stats;

/* NO_MEMORY. */
KMS_MUST_USE kms_err ctl_stats_new(enum ctl_stats_by by, ctl_stats **ret_stats);
void ctl_stats_free(ctl_stats *stats);
void ctl_stats_drop(ctl_stats **stats);

/*
 * Counts a record: a call or outcome as one call, of a batch every item as one, "suppressed" as the calls
 * that it stands for (they were refused). Attempts, recovery and service records are no calls: they are left
 * out unless every_kind. Not a record: left out. A call that uses two keys counts for both of them, and once
 * in the sum. NO_MEMORY.
 */
KMS_MUST_USE kms_err ctl_stats_add(ctl_stats *stats, struct kms_bytes line, bool every_kind);

/* All numbers: see kmsctl(1). The names with the most calls first, hours and days in order; at most `rows` of
 * them, the others are added to "other". NULL: memory ran out. */
json_t *ctl_stats_json(const ctl_stats *stats, size_t rows);
const struct ctl_timeline *ctl_stats_timeline(const ctl_stats *stats);

#endif
