/* Numbers that are random enough to choose by: xorshift64 (Marsaglia, "Xorshift RNGs", 2003). */
#ifndef KMS_LOAD_RANDOM_H
#define KMS_LOAD_RANDOM_H

#include <stdint.h>

/* The next one; state is not 0, and the same begin gives the same numbers. */
static inline uint64_t load_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
