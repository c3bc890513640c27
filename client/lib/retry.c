/* The retry rule: a decision and a growing, random pause. */
#include "client/lib/retry.h"

enum {
    CODE_UNAVAILABLE = 14,
    FIRST_WAIT_US = 100 * 1000,
    LONGEST_WAIT_US = 2 * 1000 * 1000,
    DOUBLINGS_MAX = 8
};

bool kms_retry_allowed(enum kms_repeat repeat, bool has_token, const struct kms_error *error, uint32_t tried,
                       uint32_t attempts_max)
{
    if (error->code != CODE_UNAVAILABLE || tried >= attempts_max) return false;
    return repeat == KMS_REPEAT_ALWAYS || (repeat == KMS_REPEAT_WITH_TOKEN && has_token);
}

uint64_t kms_retry_wait_us(uint32_t tried, uint32_t random)
{
    uint32_t doublings = tried > DOUBLINGS_MAX ? DOUBLINGS_MAX : tried > 0 ? tried - 1 : 0;
    uint64_t wait_us = (uint64_t)FIRST_WAIT_US << doublings;
    if (wait_us > LONGEST_WAIT_US) wait_us = LONGEST_WAIT_US;
    return wait_us / 2 + (wait_us / 2) * random / UINT32_MAX;
}
