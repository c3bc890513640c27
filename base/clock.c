/* The two clocks. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t kms_now_us(void)
{
    return read_us(CLOCK_REALTIME);
}
uint64_t kms_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void kms_time_text(uint64_t us, char text[KMS_TIME_TEXT])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, KMS_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, KMS_TIME_TEXT - len, ".%06uZ", (unsigned)(us % 1000000));
}
