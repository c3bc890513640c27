/* Rotation rules: which windows they make, and what is refused and why. */
#include "kmsd/secrets/schedule.h"

#include <stdio.h>
#include <time.h>

#include "tests/harness/suite.h"

/* "2026-11-22 21:40" */
static uint64_t at(const char *text)
{
    struct tm tm = {0};
    CU_ASSERT_PTR_NOT_NULL_FATAL(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return (uint64_t)timegm(&tm) * 1000000;
}

static kms_err parse(uint32_t days, const char *expression, const char *duration, struct kms_schedule *s,
                     struct kms_why *why)
{
    struct kms_schedule_rules rules = {days, kms_bytes_text(expression), kms_bytes_text(duration)};
    return kms_schedule_parse(&rules, KMS_SCHEDULE_HOURS_MIN, s, why);
}

/* Each row: the first window after a rotation at `last`, asked at that moment. */
static const struct {
    uint32_t days;
    const char *expression, *duration, *last, *opens, *closes;
} rows[] = {
    /* days: midnight, to the end of the day */
    {1, "", "", "2026-11-22 21:40", "2026-11-23 00:00", "2026-11-24 00:00"},
    {30, "", "", "2026-11-22 21:40", "2026-12-22 00:00", "2026-12-23 00:00"},
    {1000, "", "", "2026-11-22 00:00", "2029-08-18 00:00", "2029-08-19 00:00"},
    {7, "", "3h", "2024-02-25 23:59", "2024-03-03 00:00", "2024-03-03 03:00"}, /* over a leap day */
    {0, "rate(1 day)", "", "2026-12-31 12:00", "2027-01-01 00:00", "2027-01-02 00:00"},
    {0, "rate(999 days)", "24h", "2026-11-22 21:40", "2029-08-17 00:00", "2029-08-18 00:00"},
    /* hours: on the hour, for one hour */
    {0, "rate(4 hours)", "", "2026-11-22 21:40", "2026-11-23 01:00", "2026-11-23 02:00"},
    {0, "rate(12 hours)", "12h", "2026-02-28 13:00", "2026-03-01 01:00", "2026-03-01 13:00"},
    /* AWS's own examples */
    {0, "cron(0 /8 * * ? *)", "", "2026-11-22 00:00", "2026-11-22 08:00", "2026-11-22 09:00"},
    {0, "cron(0 8/8 * * ? *)", "", "2026-11-22 17:00", "2026-11-23 08:00", "2026-11-23 09:00"},
    {0, "cron(0 2/10 * * ? *)", "", "2026-11-22 12:00", "2026-11-22 22:00", "2026-11-22 23:00"},
    {0, "cron(0 2/10 * * ? *)", "", "2026-11-22 22:30", "2026-11-23 02:00", "2026-11-23 03:00"},
    {0, "cron(0 4/12 * * ? *)", "12h", "2026-11-22 04:00", "2026-11-22 16:00", "2026-11-23 04:00"},
    {0, "cron(0 10 * * ? *)", "", "2026-11-22 09:59", "2026-11-22 10:00", "2026-11-23 00:00"},
    {0, "cron(0 10 * * ? *)", "14h", "2026-11-22 10:00", "2026-11-23 10:00", "2026-11-24 00:00"},
    {0, "cron(0 18 ? * SAT *)", "", "2026-11-22 21:40", "2026-11-28 18:00", "2026-11-29 00:00"},
    {0, "cron(0 8 1 * ? *)", "", "2026-12-01 08:00", "2027-01-01 08:00", "2027-01-02 00:00"},
    {0, "cron(0 1 ? 1/3 SUN#1 *)", "", "2026-11-22 21:40", "2027-01-03 01:00", "2027-01-04 00:00"},
    {0, "cron(0 17 L * ? *)", "", "2024-02-01 00:00", "2024-02-29 17:00", "2024-03-01 00:00"},
    {0, "cron(0 17 L * ? *)", "", "2023-02-01 00:00", "2023-02-28 17:00", "2023-03-01 00:00"},
    {0, "cron(0 17 L * ? *)", "", "2100-02-01 00:00", "2100-02-28 17:00", "2100-03-01 00:00"},
    {0, "cron(0 8 ? * MON-FRI *)", "", "2026-11-20 08:00", "2026-11-23 08:00", "2026-11-24 00:00"},
    {0, "cron(0 16 1,15 * ? *)", "1h", "2026-11-15 16:00", "2026-12-01 16:00", "2026-12-01 17:00"},
    {0, "cron(0 0 ? * SUN#1 *)", "", "2026-11-01 00:00", "2026-12-06 00:00", "2026-12-07 00:00"},
    {0, "cron(0 0 ? 1/11 2#1 *)", "", "2026-11-22 21:40", "2026-12-07 00:00", "2026-12-08 00:00"},
    /* leap days, ends of months, days that not every month has */
    {0, "cron(0 0 29 FEB ? *)", "", "2026-11-22 21:40", "2028-02-29 00:00", "2028-03-01 00:00"},
    {0, "cron(0 0 29 2 ? *)", "", "2096-02-29 00:00", "2104-02-29 00:00", "2104-03-01 00:00"},
    {0, "cron(0 0 29 2 ? *)", "", "1999-01-01 00:00", "2000-02-29 00:00", "2000-03-01 00:00"},
    {0, "cron(0 0 31 * ? *)", "", "2026-08-31 00:00", "2026-10-31 00:00", "2026-11-01 00:00"},
    {0, "cron(0 0 30,31 * ? *)", "", "2026-01-31 00:00", "2026-03-30 00:00", "2026-03-31 00:00"},
    {0, "cron(0 0 15,L 2 ? *)", "", "2026-02-15 00:00", "2026-02-28 00:00", "2026-03-01 00:00"},
    {0, "cron(0 0 ? * SUN#5 *)", "", "2026-03-29 00:00", "2026-05-31 00:00", "2026-06-01 00:00"},
    {0, "cron(0 0 ? FEB SUN#5 *)", "", "2004-02-29 00:00", "2032-02-29 00:00", "2032-03-01 00:00"},
    {0, "cron(0 0 ? FEB SUN#5 *)", "", "2088-02-29 00:00", "2128-02-29 00:00", "2128-03-01 00:00"},
    {0, "cron(0 0 ? * SUNL *)", "", "2026-11-22 21:40", "2026-11-29 00:00", "2026-11-30 00:00"},
    {0, "cron(0 0 SUNL * ? *)", "", "2026-11-29 00:00", "2026-12-27 00:00", "2026-12-28 00:00"},
    {0, "cron(0 0 ? * 6L *)", "", "2026-11-22 21:40", "2026-11-27 00:00", "2026-11-28 00:00"},
    {0, "cron(0 0 ? * L *)", "", "2026-11-22 21:40", "2026-11-28 00:00", "2026-11-29 00:00"},
    /* lists, steps, names in any case, more than one blank */
    {0, "cron(0 23 ? JAN,jul fri *)", "", "2026-11-22 21:40", "2027-01-01 23:00", "2027-01-02 00:00"},
    {0, "cron(0  0  1/10  *  ?  *)", "", "2026-11-22 21:40", "2026-12-01 00:00", "2026-12-02 00:00"},
    {0, "cron(0 0 1-15/7 12 ? *)", "", "2026-12-08 00:00", "2026-12-15 00:00", "2026-12-16 00:00"},
    {0, "cron(0 0 ? * 1/2 *)", "", "2026-11-22 00:00", "2026-11-24 00:00", "2026-11-25 00:00"},
    {0, "cron(0 0 ? * TUE#3,THU#1 *)", "", "2026-11-22 00:00", "2026-12-03 00:00", "2026-12-04 00:00"},
    {0, "cron(0 0,6,18 * * ? *)", "6h", "2026-12-31 18:00", "2027-01-01 00:00", "2027-01-01 06:00"},
};

static void next_times(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_schedule s;
        struct kms_why why = {{0}};
        struct kms_window w = {0};
        kms_err err = parse(rows[i].days, rows[i].expression, rows[i].duration, &s, &why);
        if (kms_failed(err)) fprintf(stderr, "\n%s: %s\n", rows[i].expression, why.text);
        KMS_ASSERT_OK_FATAL(err);
        CU_ASSERT_TRUE(kms_schedule_next(&s, at(rows[i].last), at(rows[i].last), &w));
        bool good = w.opens_us == at(rows[i].opens) && w.closes_us == at(rows[i].closes);
        time_t opens = (time_t)(w.opens_us / 1000000);
        if (!good) fprintf(stderr, "\n%s after %s: %s", rows[i].expression, rows[i].last, ctime(&opens));
        CU_ASSERT(good);
    }
}

/* Asked later: a window that is open still counts, one that has passed does not, and the rhythm stays. */
static void asked_late(void)
{
    static const struct {
        const char *expression, *duration, *last, *now, *opens;
    } late[] = {
        {"rate(10 days)", "", "2026-11-01 05:00", "2026-11-11 23:59", "2026-11-11 00:00"},
        {"rate(10 days)", "", "2026-11-01 05:00", "2026-11-12 00:00", "2026-11-21 00:00"},
        {"rate(10 days)", "2h", "2026-11-01 05:00", "2026-11-11 02:00", "2026-11-21 00:00"},
        {"rate(10 days)", "2h", "2026-11-01 05:00", "2027-11-21 00:00", "2027-11-26 00:00"},
        {"rate(5 hours)", "", "2026-11-01 05:30", "2026-11-01 10:59", "2026-11-01 10:00"},
        {"rate(5 hours)", "", "2026-11-01 05:30", "2026-11-01 11:00", "2026-11-01 15:00"},
        {"cron(0 8 ? * MON *)", "", "2026-11-01 00:00", "2026-11-16 12:00", "2026-11-16 08:00"},
        {"cron(0 8 ? * MON *)", "4h", "2026-11-01 00:00", "2026-11-16 12:00", "2026-11-23 08:00"},
        {"cron(0 8 ? * MON *)", "", "2026-11-16 08:01", "2026-11-16 12:00", "2026-11-23 08:00"},
        {"cron(0 2/10 * * ? *)", "4h", "2026-11-16 12:00", "2026-11-17 01:59", "2026-11-16 22:00"},
        {"rate(1 day)", "", "2026-11-22 08:00", "2020-01-01 00:00", "2026-11-23 00:00"}, /* clock set back */
    };
    for (size_t i = 0; i < KMS_COUNT(late); i++) {
        struct kms_schedule s;
        struct kms_window w = {0};
        KMS_ASSERT_OK_FATAL(parse(0, late[i].expression, late[i].duration, &s, NULL));
        CU_ASSERT_TRUE(kms_schedule_next(&s, at(late[i].last), at(late[i].now), &w));
        if (w.opens_us != at(late[i].opens)) fprintf(stderr, "\n%s at %s\n", late[i].expression, late[i].now);
        CU_ASSERT_EQUAL(w.opens_us, at(late[i].opens));
    }
}

static void the_end_of_time(void)
{
    struct kms_schedule s;
    struct kms_window w = {7, 8};
    KMS_ASSERT_OK_FATAL(parse(0, "cron(0 0 29 2 ? *)", "", &s, NULL));
    CU_ASSERT_FALSE(kms_schedule_next(&s, at("9996-03-01 00:00"), 0, &w));
    CU_ASSERT_FALSE(kms_schedule_next(&s, UINT64_MAX, UINT64_MAX, &w));
    KMS_ASSERT_OK_FATAL(parse(1000, "", "", &s, NULL));
    CU_ASSERT_FALSE(kms_schedule_next(&s, at("9998-03-01 00:00"), 0, &w));
    CU_ASSERT(w.opens_us == 7 && w.closes_us == 8);
}

static void days_between(void)
{
    static const struct {
        const char *expression, *last;
        uint32_t days;
    } cases[] = {
        {"rate(10 days)", "2026-11-22 21:40", 10},     {"rate(4 hours)", "2026-11-22 21:40", 1},
        {"rate(36 hours)", "2026-11-22 21:40", 2},     {"cron(0 8 1 * ? *)", "2026-12-30 00:00", 31},
        {"cron(0 8 1 * ? *)", "2027-01-30 00:00", 28},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_schedule s;
        struct kms_window w;
        KMS_ASSERT_OK_FATAL(parse(0, cases[i].expression, "", &s, NULL));
        CU_ASSERT_TRUE(kms_schedule_next(&s, at(cases[i].last), at(cases[i].last), &w));
        CU_ASSERT_EQUAL(kms_schedule_days(&s, &w), cases[i].days);
    }
}

static const struct {
    uint32_t days;
    const char *expression, *duration, *why; /* part of the message */
} refused[] = {
    {0, "", "", "RotationRules: neither"},
    {1, "rate(1 day)", "", "RotationRules: both"},
    {1001, "", "", "AutomaticallyAfterDays: not 1 to 1000"},
    {0, "every day", "", "neither rate(...) nor cron(...)"},
    {0, "rate", "", "neither rate"},
    {0, "rate(10 days", "", "neither rate"},
    {0, "Rate(10 days)", "", "neither rate"},
    {0, " rate(10 days)", "", "neither rate"},
    {0, "rate()", "", "rate: not a positive"},
    {0, "rate(0 days)", "", "rate: not a positive"},
    {0, "rate(-1 days)", "", "rate: not a positive"},
    {0, "rate(10)", "", "rate: not a positive"},
    {0, "rate(10 minutes)", "", "rate: not a positive"},
    {0, "rate(10  days)", "", "rate: not a positive"},
    {0, "rate(4294967297 days)", "", "rate: not a positive"},
    {0, "rate(1000 days)", "", "rate: more than 999 days"},
    {0, "rate(23977 hours)", "", "rate: more than 999 days"},
    {0, "rate(3 hours)", "", "rate: more often than every 4 hours"},
    {0, "cron()", "", "cron needs six fields"},
    {0, "cron(0 8 * * ?)", "", "cron needs six fields"},
    {0, "cron(0 8 * * ? * *)", "", "cron needs six fields"},
    {0, "cron(30 8 * * ? *)", "", "field minutes: '30': must be 0"},
    {0, "cron(* 8 * * ? *)", "", "field minutes: '*': must be 0"},
    {0, "cron(0 8 * * ? 2027)", "", "field year: '2027': must be *"},
    {0, "cron(0 * * * ? *)", "", "field hours: more often than every 4 hours"},
    {0, "cron(0 0/3 * * ? *)", "", "field hours: more often"},
    {0, "cron(0 1,23 * * ? *)", "", "field hours: more often"}, /* round midnight */
    {0, "cron(0 24 * * ? *)", "", "field hours: '24': no such value"},
    {0, "cron(0 8-30 * * ? *)", "", "field hours: '8-30': no such value at the end"},
    {0, "cron(0 12-8 * * ? *)", "", "field hours: '12-8': a range that ends before it begins"},
    {0, "cron(0 0/0 * * ? *)", "", "field hours: '0/0': not a step"},
    {0, "cron(0 0/24 * * ? *)", "", "field hours: '0/24': not a step"},
    {0, "cron(0 0/x * * ? *)", "", "field hours: '0/x': not a step"},
    {0, "cron(0 8, * * ? *)", "", "field hours: '8,': an empty item"},
    {0, "cron(0 ,8 * * ? *)", "", "field hours: ',8': an empty item"},
    {0, "cron(0 ? * * ? *)", "", "field hours: '?': no such value"},
    {0, "cron(0 L * * ? *)", "", "field hours: 'L': no such value"},
    {0, "cron(0 8 0 * ? *)", "", "field day-of-month: '0': no such value"},
    {0, "cron(0 8 32 * ? *)", "", "field day-of-month: '32': no such value"},
    {0, "cron(0 8 15W * ? *)", "", "W (nearest weekday) is not offered"},
    {0, "cron(0 8 LW * ? *)", "", "W (nearest weekday) is not offered"},
    {0, "cron(0 8 L-3 * ? *)", "", "field day-of-month: 'L-3': no such value"},
    {0, "cron(0 8 1 13 ? *)", "", "field month: '13': no such value"},
    {0, "cron(0 8 1 SEPT ? *)", "", "field month: 'SEPT': no such value"},
    {0, "cron(0 8 1 ? ? *)", "", "field month: '?': no such value"},
    {0, "cron(0 8 ? * 0 *)", "", "field day-of-week: '0': no such value"},
    {0, "cron(0 8 ? * 8 *)", "", "field day-of-week: '8': no such value"},
    {0, "cron(0 8 ? * FRI-MON *)", "", "field day-of-week: 'FRI-MON': a range that ends"},
    {0, "cron(0 8 ? * SUN#0 *)", "", "field day-of-week: 'SUN#0': not 1 to 5"},
    {0, "cron(0 8 ? * SUN#6 *)", "", "field day-of-week: 'SUN#6': not 1 to 5"},
    {0, "cron(0 8 ? * #1 *)", "", "field day-of-week: '#1': no such day"},
    {0, "cron(0 8 * * * *)", "", "must be ?: they cannot both choose"},
    {0, "cron(0 1 * 1/3 SUN *)", "", "must be ?: they cannot both choose"}, /* AWS's documents had it once */
    {0, "cron(0 8 ? * ? *)", "", "no day is meant"},
    {0, "cron(0 8 30 FEB ? *)", "", "cron: a date that never comes"},
    {0, "cron(0 8 31 4,6,9,11 ? *)", "", "cron: a date that never comes"},
    {1, "", "h", "Duration: not 1h to 24h"},
    {1, "", "0h", "Duration: not 1h to 24h"},
    {1, "", "25h", "Duration: not 1h to 24h"},
    {1, "", "3", "Duration: not 1h to 24h"},
    {1, "", "3 h", "Duration: not 1h to 24h"},
    {1, "", "03hh", "Duration: not 1h to 24h"},
    {0, "rate(4 hours)", "5h", "Duration: the window reaches into the next one"},
    {0, "cron(0 2/10 * * ? *)", "5h", "Duration: the window reaches into the next one"},
    {0, "cron(0 10 * * ? *)", "15h", "Duration: the window reaches into the next UTC day"},
};

static void what_is_refused(void)
{
    for (size_t i = 0; i < KMS_COUNT(refused); i++) {
        struct kms_schedule s = {.every = 42};
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(parse(refused[i].days, refused[i].expression, refused[i].duration, &s, &why),
                        INVALID_ARGUMENT);
        CU_ASSERT_EQUAL(s.every, 42);
        bool as_said = strstr(why.text, refused[i].why) != NULL;
        if (!as_said) fprintf(stderr, "\n%s got: %s\n", refused[i].expression, why.text);
        CU_ASSERT(as_said);
    }
}

static void long_text_and_other_floors(void)
{
    char text[300];
    memset(text, '1', sizeof text);
    struct kms_schedule_rules rules = {0, kms_bytes_of(text, sizeof text), {0}};
    struct kms_schedule s;
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(kms_schedule_parse(&rules, 4, &s, &why), INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "ScheduleExpression: longer than 256 bytes");
    rules.expression = kms_bytes_text("rate(1 hour)");
    KMS_ASSERT_OK(kms_schedule_parse(&rules, 1, &s, &why));
    rules.expression = kms_bytes_text("cron(0 * * * ? *)");
    KMS_ASSERT_OK(kms_schedule_parse(&rules, 1, &s, &why));
    rules.expression = kms_bytes_text("rate(23 hours)");
    KMS_ASSERT_CODE(kms_schedule_parse(&rules, 24, &s, &why), INVALID_ARGUMENT);
}

KMS_TEST_MAIN("secrets/schedule", {"next times", next_times}, {"asked late", asked_late},
              {"the end of time", the_end_of_time}, {"days between", days_between},
              {"what is refused", what_is_refused},
              {"long text and other floors", long_text_and_other_floors})
