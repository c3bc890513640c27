/* Two clocks. */
#include "kmsd/jobs/step.h"

int64_t kms_step_look(struct kms_step *step, uint64_t wall_us, uint64_t monotonic_us)
{
    int64_t moved_us = 0;
    if (step->monotonic_us != 0)
        moved_us = (int64_t)(wall_us - step->wall_us) - (int64_t)(monotonic_us - step->monotonic_us);
    step->wall_us = wall_us;
    step->monotonic_us = monotonic_us;
    if (moved_us > (int64_t)step->tolerance_us) {
        step->doubt_until_us = monotonic_us + step->hold_us;
        return moved_us;
    }
    if (moved_us < -(int64_t)step->tolerance_us) {
        step->doubt_until_us = 0; /* somebody put it right */
        return moved_us;
    }
    return 0;
}

bool kms_step_doubted(const struct kms_step *step, uint64_t monotonic_us)
{
    return monotonic_us < step->doubt_until_us;
}
