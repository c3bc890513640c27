/*
 * Steps of the wall clock, told by comparing it with the monotonic one. A step back makes nothing early,
 * since dates are moments; a step forward would, so what cannot be taken back waits until the new time has
 * stood for a while. Not thread-safe: the scheduler's own.
 */
#ifndef KMS_JOBS_STEP_H
#define KMS_JOBS_STEP_H

#include <stdbool.h>
#include <stdint.h>

struct kms_step {
    uint64_t tolerance_us;          /* drift between two looks that is no step */
    uint64_t hold_us;               /* how long a step forward is doubted */
    uint64_t wall_us, monotonic_us; /* at the last look; 0: none yet */
    uint64_t doubt_until_us;        /* monotonic; 0: no doubt */
};

/* How far the wall clock moved more than time passed since the last look: 0, or beyond the tolerance. */
int64_t kms_step_look(struct kms_step *step, uint64_t wall_us, uint64_t monotonic_us);
/* The time is not believed yet. */
bool kms_step_doubted(const struct kms_step *step, uint64_t monotonic_us);

#endif
