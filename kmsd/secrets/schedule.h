/*
 * When a secret rotates: the rotation rules of AWS Secrets Manager, read and turned into windows of time.
 * Pure: no clock, no state. All times are UTC; a window opens on the hour. docs/rotation.md has the grammar
 * and where it differs from AWS's. Thread-safe: values only.
 */
#ifndef KMS_SECRETS_SCHEDULE_H
#define KMS_SECRETS_SCHEDULE_H

#include "base/bytes.h"

enum {
    KMS_SCHEDULE_DAYS_MAX = 1000,     /* AutomaticallyAfterDays */
    KMS_SCHEDULE_RATE_DAYS_MAX = 999, /* rate(), also in hours */
    KMS_SCHEDULE_HOURS_MIN = 4,       /* AWS rotates no more often */
    KMS_SCHEDULE_TEXT_MAX = 256,      /* bytes of a ScheduleExpression */
};

/* RotationRules as they are written in a request: one of the first two, and perhaps a duration. */
struct kms_schedule_rules {
    uint32_t after_days;                   /* AutomaticallyAfterDays; 0: not given */
    struct kms_bytes expression, duration; /* ScheduleExpression, Duration; empty: not given */
};

enum kms_schedule_kind { KMS_SCHEDULE_EVERY_DAYS = 1, KMS_SCHEDULE_EVERY_HOURS, KMS_SCHEDULE_CRON };

/* Rules that were understood. Made by kms_schedule_parse alone; copy it freely. */
struct kms_schedule {
    enum kms_schedule_kind kind;
    uint32_t every;          /* days or hours; cron: 0 */
    uint32_t window_hours;   /* 0: to the end of the UTC day */
    uint32_t hours;          /* cron: bit 0 to 23 */
    uint32_t month_days;     /* bit 1 to 31 */
    uint16_t months;         /* bit 1 to 12 */
    uint8_t weekdays;        /* bit 0 (Sunday) to 6 */
    uint8_t last_weekdays;   /* the last such day of a month */
    uint8_t nth_weekdays[5]; /* the first to fifth such day of a month */
    bool last_day;           /* the last day of a month */
};

struct kms_window {
    uint64_t opens_us, closes_us; /* microseconds since 1970; open from the first until before the second */
};

/* least_hours: the shortest time between two windows, KMS_SCHEDULE_HOURS_MIN unless the service says
 * otherwise. INVALID_ARGUMENT: why names the rule, the place in it and the cause; also for windows that reach
 * into the next day or into each other, and for a date that never comes. */
KMS_MUST_USE kms_err kms_schedule_parse(const struct kms_schedule_rules *rules, uint32_t least_hours,
                                        struct kms_schedule *ret_schedule, struct kms_why *why);

/* The first window that opens after last_us (of a rotation, or when rotation was turned on) and has not
 * closed by now_us. A rotation is due when now_us is in it; a window that passed unused is not made up for.
 * False: none before the year 10000. */
bool kms_schedule_next(const struct kms_schedule *schedule, uint64_t last_us, uint64_t now_us,
                       struct kms_window *ret_window);

/* Days between rotations as DescribeSecret tells them in AutomaticallyAfterDays: of the window that follows
 * ours, rounded up; at least 1. */
uint32_t kms_schedule_days(const struct kms_schedule *schedule, const struct kms_window *window);

#endif
