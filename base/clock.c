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

uint64_t kms_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + 1;
}

uint64_t kms_now_us(void)
{
    return read_us(CLOCK_REALTIME);
}
uint64_t kms_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void kms_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct timespec kms_in_ms(uint32_t ms)
{
    uint64_t us = read_us(CLOCK_MONOTONIC) + ms * UINT64_C(1000);
    return (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
}

void kms_time_text(uint64_t us, char text[KMS_TIME_TEXT])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, KMS_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, KMS_TIME_TEXT - len, ".%06uZ", (unsigned)(us % 1000000));
}
