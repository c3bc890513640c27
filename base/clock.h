/* Time. Wall time is for people and records, monotonic time for deadlines. Thread-safe. */
#ifndef KMS_BASE_CLOCK_H
#define KMS_BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

uint64_t kms_now_us(void);       /* microseconds since 1970-01-01 UTC */
uint64_t kms_monotonic_us(void); /* microseconds since some start; never goes back */
uint64_t kms_monotonic_ns(void); /* the same clock in nanoseconds; never 0 */

/* A condition whose waits end by the monotonic clock, and such an end: so long from now. */
void kms_cond_init(pthread_cond_t *cond);
struct timespec kms_in_ms(uint32_t ms);

enum { KMS_TIME_TEXT = 28 }; /* "2026-11-22T12:00:00.123456Z" and NUL, RFC 3339 */
void kms_time_text(uint64_t us, char text[KMS_TIME_TEXT]);
#define KMS_TIME_MAX_US UINT64_C(253402300799999999) /* the last microsecond of 9999: RFC 3339 ends there */

#endif
