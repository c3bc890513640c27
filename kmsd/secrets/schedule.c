/* Rules in, windows out. Hours are counted from 1970: the calendar is asked for days of months alone. */
#include "kmsd/secrets/schedule.h"

#include <string.h>

#include "kmsd/secrets/cron.h"

enum { DAY_HOURS = 24, WEEK_DAYS = 7, EPOCH_WEEKDAY = 4 /* 1970-01-01 was a Thursday */ };
enum { CALENDAR_YEARS = 400 /* then it repeats, weekdays too */, YEAR_END = 10000 };
#define HOUR_US UINT64_C(3600000000)

static bool is_leap(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t month_length(uint32_t year, uint32_t month)
{
    if (month == 2) return is_leap(year) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Days from 1970-01-01 to the first of January of year. */
static uint32_t days_before_year(uint32_t year)
{
    uint32_t before = year - 1;
    return 365 * (year - 1970) + (before / 4 - before / 100 + before / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* A month by its first day. */
struct month {
    uint32_t year, month, first_day; /* first_day: since 1970 */
};

static struct month month_of(uint32_t day)
{
    struct month m = {.year = 1970 + day / 366, .month = 1};
    while (days_before_year(m.year + 1) <= day) m.year++;
    m.first_day = days_before_year(m.year);
    while (m.first_day + month_length(m.year, m.month) <= day) m.first_day += month_length(m.year, m.month++);
    return m;
}

static void next_month(struct month *m)
{
    m->first_day += month_length(m->year, m->month);
    m->month = m->month % 12 + 1;
    if (m->month == 1) m->year++;
}

/* The days of a month that a cron schedule means: bit 1 to 31. */
static uint32_t days_meant(const struct kms_schedule *s, const struct month *m)
{
    uint32_t length = month_length(m->year, m->month), days = 0;
    if ((s->months >> m->month & 1) == 0) return 0;
    for (uint32_t day = 1; day <= length; day++) {
        uint32_t weekday = (m->first_day + day - 1 + EPOCH_WEEKDAY) % WEEK_DAYS;
        bool meant = (s->month_days >> day & 1) != 0 || (s->last_day && day == length) ||
                     (s->weekdays >> weekday & 1) != 0 ||
                     (day + WEEK_DAYS > length && (s->last_weekdays >> weekday & 1) != 0) ||
                     (s->nth_weekdays[(day - 1) / WEEK_DAYS] >> weekday & 1) != 0;
        if (meant) days |= UINT32_C(1) << day;
    }
    return days;
}

/* The first hour since 1970 from hour on that a cron schedule means. False: none before the year 10000. */
static bool cron_next(const struct kms_schedule *s, uint64_t hour, uint64_t *ret_hour)
{
    if (hour / DAY_HOURS >= days_before_year(YEAR_END)) return false;
    struct month m = month_of((uint32_t)(hour / DAY_HOURS));
    for (uint32_t end = m.year + CALENDAR_YEARS + 1; m.year < end && m.year < YEAR_END; next_month(&m)) {
        uint32_t days = days_meant(s, &m);
        for (uint32_t bit = 0; days != 0 && bit < 31 * DAY_HOURS; bit++) {
            uint32_t day = bit / DAY_HOURS + 1, of_day = bit % DAY_HOURS;
            uint64_t at = (uint64_t)(m.first_day + day - 1) * DAY_HOURS + of_day;
            if (at < hour || (days >> day & 1) == 0 || (s->hours >> of_day & 1) == 0) continue;
            *ret_hour = at;
            return true;
        }
    }
    return false;
}

static uint64_t closes(const struct kms_schedule *s, uint64_t opens)
{
    return s->window_hours != 0 ? opens + s->window_hours : (opens / DAY_HOURS + 1) * DAY_HOURS;
}

/* The first hour at which a rotation after last may be, and at which the window that it opens is not over. */
static bool first_opening(const struct kms_schedule *s, uint64_t last, uint64_t now, uint64_t *ret_hour)
{
    if (s->kind == KMS_SCHEDULE_CRON) {
        uint64_t from = now > last + DAY_HOURS ? now - DAY_HOURS : last + 1; /* windows last a day at most */
        while (cron_next(s, from, ret_hour)) {
            if (closes(s, *ret_hour) > now) return true;
            from = *ret_hour + 1;
        }
        return false;
    }
    uint64_t step = s->kind == KMS_SCHEDULE_EVERY_DAYS ? (uint64_t)s->every * DAY_HOURS : s->every;
    uint64_t start = s->kind == KMS_SCHEDULE_EVERY_DAYS ? last / DAY_HOURS * DAY_HOURS : last;
    uint64_t opens = start + step;
    if (opens < now) opens += (now - opens) / step * step;
    while (closes(s, opens) <= now) opens += step;
    *ret_hour = opens;
    return opens / DAY_HOURS < days_before_year(YEAR_END);
}

bool kms_schedule_next(const struct kms_schedule *schedule, uint64_t last_us, uint64_t now_us,
                       struct kms_window *ret_window)
{
    uint64_t hour;
    if (now_us < last_us) now_us = last_us; /* the clock was set back */
    if (!first_opening(schedule, last_us / HOUR_US, now_us / HOUR_US, &hour)) return false;
    *ret_window = (struct kms_window){hour * HOUR_US, closes(schedule, hour) * HOUR_US};
    return true;
}

uint32_t kms_schedule_days(const struct kms_schedule *schedule, const struct kms_window *window)
{
    struct kms_window following;
    if (schedule->kind == KMS_SCHEDULE_EVERY_DAYS) return schedule->every;
    if (!kms_schedule_next(schedule, window->opens_us, window->opens_us, &following))
        return KMS_SCHEDULE_DAYS_MAX;
    uint64_t day_us = DAY_HOURS * HOUR_US,
             days = (following.opens_us - window->opens_us + day_us - 1) / day_us;
    return days < 1 ? 1 : (uint32_t)days;
}

static kms_err refuse(struct kms_why *why, const char *rule, const char *cause)
{
    kms_why_set(why, "%s: %s", rule, cause);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* The text between "name(" and ")". */
static bool inside(struct kms_bytes text, const char *name, struct kms_bytes *ret_inside)
{
    size_t len = strlen(name);
    if (text.len < len + 2 || memcmp(text.ptr, name, len) != 0 || text.ptr[len] != '(' ||
        text.ptr[text.len - 1] != ')')
        return false;
    *ret_inside = kms_bytes_of(text.ptr + len + 1, text.len - len - 2);
    return true;
}

static kms_err parse_rate(struct kms_bytes text, uint32_t least_hours, struct kms_schedule *s,
                          struct kms_why *why)
{
    static const char rule[] = "ScheduleExpression";
    const uint8_t *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    struct kms_bytes number = kms_bytes_of(text.ptr, blank != NULL ? (size_t)(blank - text.ptr) : text.len);
    struct kms_bytes unit =
        kms_bytes_of(blank != NULL ? blank + 1 : NULL, blank != NULL ? text.len - number.len - 1 : 0);
    bool hours =
        kms_bytes_equal(unit, kms_bytes_text("hours")) || kms_bytes_equal(unit, kms_bytes_text("hour"));
    bool days = kms_bytes_equal(unit, kms_bytes_text("days")) || kms_bytes_equal(unit, kms_bytes_text("day"));
    if (!kms_cron_number(number, &s->every) || s->every == 0 || (!hours && !days))
        return refuse(why, rule,
                      "rate: not a positive whole number and hours or days, such as rate(10 days)");
    uint64_t in_hours = (uint64_t)s->every * (days ? DAY_HOURS : 1);
    if (in_hours > KMS_SCHEDULE_RATE_DAYS_MAX * DAY_HOURS)
        return refuse(why, rule, "rate: more than 999 days");
    s->kind = days ? KMS_SCHEDULE_EVERY_DAYS : KMS_SCHEDULE_EVERY_HOURS;
    if (in_hours >= least_hours) return KMS_OK;
    kms_why_set(why, "%s: rate: more often than every %u hours", rule, least_hours);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* The shortest time between two hours of a cron schedule, round the clock; 24 when there is but one. */
static uint32_t shortest_gap(uint32_t hours)
{
    uint32_t gap = DAY_HOURS;
    for (uint32_t first = 0; first < DAY_HOURS; first++)
        for (uint32_t away = 1; away < gap && (hours >> first & 1) != 0; away++)
            if ((hours >> (first + away) % DAY_HOURS & 1) != 0) gap = away;
    return gap;
}

static kms_err parse_cron(struct kms_bytes text, uint32_t least_hours, struct kms_schedule *s,
                          struct kms_why *why)
{
    uint64_t first;
    s->kind = KMS_SCHEDULE_CRON;
    KMS_TRY(kms_cron_parse(text, s, why));
    if (shortest_gap(s->hours) < least_hours) {
        kms_why_set(why, "ScheduleExpression: field hours: more often than every %u hours", least_hours);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (!cron_next(s, 0, &first)) return refuse(why, "ScheduleExpression", "cron: a date that never comes");
    return KMS_OK;
}

static kms_err parse_expression(struct kms_bytes text, uint32_t least_hours, struct kms_schedule *s,
                                struct kms_why *why)
{
    struct kms_bytes inner;
    if (text.len > KMS_SCHEDULE_TEXT_MAX) return refuse(why, "ScheduleExpression", "longer than 256 bytes");
    if (inside(text, "rate", &inner)) return parse_rate(inner, least_hours, s, why);
    if (inside(text, "cron", &inner)) return parse_cron(inner, least_hours, s, why);
    return refuse(why, "ScheduleExpression", "neither rate(...) nor cron(...)");
}

/* The last hour of a day at which a window opens. */
static uint32_t last_opening(const struct kms_schedule *s)
{
    uint32_t last = 0;
    for (uint32_t hour = 0; hour < DAY_HOURS; hour++)
        if ((s->hours >> hour & 1) != 0) last = hour;
    return last;
}

/* "3h" */
static bool read_hours(struct kms_bytes text, uint32_t *ret_hours)
{
    return text.len >= 2 && text.len <= 3 && text.ptr[text.len - 1] == 'h' &&
           kms_cron_number(kms_bytes_of(text.ptr, text.len - 1), ret_hours) && *ret_hours >= 1 &&
           *ret_hours <= DAY_HOURS;
}

static kms_err parse_duration(struct kms_bytes text, struct kms_schedule *s, struct kms_why *why)
{
    uint32_t gap = s->kind == KMS_SCHEDULE_EVERY_HOURS ? s->every : shortest_gap(s->hours), hours;
    bool by_hours = s->kind == KMS_SCHEDULE_EVERY_HOURS || (s->kind == KMS_SCHEDULE_CRON && gap < DAY_HOURS);
    s->window_hours = by_hours ? 1 : 0;
    if (text.len == 0) return KMS_OK;
    if (!read_hours(text, &hours)) return refuse(why, "Duration", "not 1h to 24h");
    if (by_hours && hours > gap) return refuse(why, "Duration", "the window reaches into the next one");
    if (!by_hours && last_opening(s) + hours > DAY_HOURS)
        return refuse(why, "Duration", "the window reaches into the next UTC day");
    s->window_hours = hours;
    return KMS_OK;
}

kms_err kms_schedule_parse(const struct kms_schedule_rules *rules, uint32_t least_hours,
                           struct kms_schedule *ret_schedule, struct kms_why *why)
{
    struct kms_schedule s = {.kind = KMS_SCHEDULE_EVERY_DAYS, .every = rules->after_days};
    if (rules->after_days == 0 && rules->expression.len == 0)
        return refuse(why, "RotationRules", "neither AutomaticallyAfterDays nor ScheduleExpression");
    if (rules->after_days != 0 && rules->expression.len != 0)
        return refuse(why, "RotationRules", "both AutomaticallyAfterDays and ScheduleExpression");
    if (rules->after_days > KMS_SCHEDULE_DAYS_MAX)
        return refuse(why, "AutomaticallyAfterDays", "not 1 to 1000");
    if (rules->expression.len != 0) KMS_TRY(parse_expression(rules->expression, least_hours, &s, why));
    KMS_TRY(parse_duration(rules->duration, &s, why));
    *ret_schedule = s;
    return KMS_OK;
}
