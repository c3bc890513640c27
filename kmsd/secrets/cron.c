/* cron(minutes hours day-of-month month day-of-week year): a field is a list of items, an item marks bits. */
#include "kmsd/secrets/cron.h"

#include <string.h>
#include <strings.h>

enum { FIELDS = 6, TEXT_BYTES = 40 /* of an item in messages */ };

/* One field being read. */
struct field {
    const char *name;
    uint32_t least, most;     /* values */
    const char *const *words; /* names of the values from least on, NULL at the end; or NULL */
    bool days;                /* of the month or of the week: ?, L and # have a meaning */
};

static const char *const month_words[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                          "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const day_words[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};

static const struct field hour_field = {"hours", 0, 23, NULL, false};
static const struct field month_day_field = {"day-of-month", 1, 31, NULL, true};
static const struct field month_field = {"month", 1, 12, month_words, false};
static const struct field weekday_field = {"day-of-week", 1, 7, day_words, true};

static kms_err refuse(struct kms_why *why, const char *field, struct kms_bytes item, const char *cause)
{
    kms_why_set(why, "ScheduleExpression: field %s: '%.*s': %s", field,
                (int)(item.len < TEXT_BYTES ? item.len : TEXT_BYTES),
                item.len > 0 ? (const char *)item.ptr : "", cause);
    return KMS_FAIL(INVALID_ARGUMENT);
}

bool kms_cron_number(struct kms_bytes text, uint32_t *ret_number)
{
    uint32_t number = 0;
    if (text.len == 0 || text.len > 9) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        number = number * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool is_text(struct kms_bytes text, const char *want)
{
    return kms_bytes_equal(text, kms_bytes_text(want));
}

/* What stands before the first sign; *rest is what follows it, ptr NULL when the sign is not there. */
static struct kms_bytes split(struct kms_bytes text, char sign, struct kms_bytes *rest)
{
    const uint8_t *at = text.len > 0 ? memchr(text.ptr, sign, text.len) : NULL;
    *rest = (struct kms_bytes){0};
    if (at == NULL) return text;
    *rest = kms_bytes_of(at + 1, (size_t)(text.ptr + text.len - at - 1));
    return kms_bytes_of(text.ptr, (size_t)(at - text.ptr));
}

static bool value_of(const struct field *f, struct kms_bytes text, uint32_t *ret_value)
{
    for (uint32_t i = 0; f->words != NULL && f->words[i] != NULL; i++) {
        if (text.len != 3 || strncasecmp((const char *)text.ptr, f->words[i], 3) != 0) continue;
        *ret_value = f->least + i;
        return true;
    }
    uint32_t number;
    if (!kms_cron_number(text, &number) || number < f->least || number > f->most) return false;
    *ret_value = number;
    return true;
}

/* "a", "a-b", "*" or, when a step follows, nothing: *last stays what it is for "a" with a step. */
static const char *read_range(const struct field *f, struct kms_bytes range, bool stepped, uint32_t *first,
                              uint32_t *last)
{
    struct kms_bytes end_text;
    struct kms_bytes start_text = split(range, '-', &end_text);
    if (is_text(range, "*") || (range.len == 0 && stepped)) return NULL;
    if (!value_of(f, start_text, first)) return "no such value";
    if (end_text.ptr != NULL && !value_of(f, end_text, last)) return "no such value at the end of a range";
    if (end_text.ptr == NULL && !stepped) *last = *first;
    return *first > *last ? "a range that ends before it begins" : NULL;
}

/* A range, perhaps with "/n". Bits are the values. */
static kms_err add_range(const struct field *f, struct kms_bytes item, uint32_t *bits, struct kms_why *why)
{
    struct kms_bytes step_text;
    struct kms_bytes range = split(item, '/', &step_text);
    uint32_t first = f->least, last = f->most, step = 1;
    const char *cause = read_range(f, range, step_text.ptr != NULL, &first, &last);
    if (cause != NULL) return refuse(why, f->name, item, cause);
    if (step_text.ptr != NULL && (!kms_cron_number(step_text, &step) || step == 0 || step > f->most))
        return refuse(why, f->name, item, "not a step within the field");
    for (uint32_t v = first; v <= last; v += step) *bits |= UINT32_C(1) << v;
    return KMS_OK;
}

/* Calls add for each item of a list. */
static kms_err each(const struct field *f, struct kms_bytes text, struct kms_schedule *s,
                    kms_err (*add)(const struct field *, struct kms_bytes, struct kms_schedule *,
                                   struct kms_why *),
                    struct kms_why *why)
{
    for (struct kms_bytes rest = text; rest.ptr != NULL;) {
        struct kms_bytes item = split(rest, ',', &rest);
        if (item.len == 0) return refuse(why, f->name, text, "an empty item");
        KMS_TRY(add(f, item, s, why));
    }
    return KMS_OK;
}

static kms_err add_hour(const struct field *f, struct kms_bytes item, struct kms_schedule *s,
                        struct kms_why *why)
{
    return add_range(f, item, &s->hours, why);
}

static kms_err add_month(const struct field *f, struct kms_bytes item, struct kms_schedule *s,
                         struct kms_why *why)
{
    uint32_t bits = s->months;
    KMS_TRY(add_range(f, item, &bits, why));
    s->months = (uint16_t)bits;
    return KMS_OK;
}

/* "SUNL" stands in either field of days (AWS lists it under day-of-month). */
static bool add_last_weekday(struct kms_bytes item, struct kms_schedule *s)
{
    uint32_t day;
    if (item.len < 2 || (item.ptr[item.len - 1] | 0x20) != 'l') return false;
    if (!value_of(&weekday_field, kms_bytes_of(item.ptr, item.len - 1), &day)) return false;
    s->last_weekdays = (uint8_t)(s->last_weekdays | 1U << (day - 1));
    return true;
}

static kms_err add_month_day(const struct field *f, struct kms_bytes item, struct kms_schedule *s,
                             struct kms_why *why)
{
    if (is_text(item, "L") || is_text(item, "l")) {
        s->last_day = true;
        return KMS_OK;
    }
    if (item.len == 4 && add_last_weekday(item, s)) return KMS_OK;
    if (item.len > 0 && memchr(item.ptr, 'W', item.len) != NULL && item.len < 4)
        return refuse(why, f->name, item, "W (nearest weekday) is not offered, as in AWS Secrets Manager");
    return add_range(f, item, &s->month_days, why);
}

static kms_err add_weekday(const struct field *f, struct kms_bytes item, struct kms_schedule *s,
                           struct kms_why *why)
{
    struct kms_bytes nth_text;
    struct kms_bytes day_text = split(item, '#', &nth_text);
    uint32_t bits = 0, day, nth;
    if (nth_text.ptr != NULL) {
        if (!value_of(f, day_text, &day)) return refuse(why, f->name, item, "no such day before #");
        if (!kms_cron_number(nth_text, &nth) || nth < 1 || nth > 5)
            return refuse(why, f->name, item, "not 1 to 5 after #");
        s->nth_weekdays[nth - 1] = (uint8_t)(s->nth_weekdays[nth - 1] | 1U << (day - 1));
        return KMS_OK;
    }
    if (add_last_weekday(item, s)) return KMS_OK;
    if (is_text(item, "L") || is_text(item, "l"))
        bits = 1U << 7; /* the last day of the week: Saturday */
    else
        KMS_TRY(add_range(f, item, &bits, why));
    s->weekdays = (uint8_t)(s->weekdays | bits >> 1);
    return KMS_OK;
}

static kms_err read_days(const struct kms_bytes fields[FIELDS], struct kms_schedule *s, struct kms_why *why)
{
    bool no_month_day = is_text(fields[2], "?"), no_weekday = is_text(fields[4], "?");
    if (no_month_day && no_weekday)
        return refuse(why, "day-of-week", fields[4], "? in both fields of days: no day is meant");
    if (!no_month_day && !no_weekday)
        return refuse(why, "day-of-week", fields[4],
                      "one of day-of-month and day-of-week must be ?: they cannot both choose");
    return no_weekday ? each(&month_day_field, fields[2], s, add_month_day, why)
                      : each(&weekday_field, fields[4], s, add_weekday, why);
}

/* Six fields with single or more blanks between them. */
static bool split_fields(struct kms_bytes text, struct kms_bytes fields[FIELDS])
{
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        size_t start = at;
        while (at < text.len && text.ptr[at] != ' ') at++;
        if (count == FIELDS) return false;
        if (at > start) fields[count++] = kms_bytes_of(text.ptr + start, at - start);
        while (at < text.len && text.ptr[at] == ' ') at++;
    }
    return count == FIELDS;
}

kms_err kms_cron_parse(struct kms_bytes text, struct kms_schedule *schedule, struct kms_why *why)
{
    struct kms_bytes fields[FIELDS];
    if (!split_fields(text, fields)) {
        kms_why_set(why, "ScheduleExpression: cron needs six fields: minutes hours day-of-month month "
                         "day-of-week year");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (!is_text(fields[0], "0"))
        return refuse(why, "minutes", fields[0], "must be 0: windows open on the hour");
    if (!is_text(fields[5], "*")) return refuse(why, "year", fields[5], "must be *: schedules do not end");
    KMS_TRY(each(&hour_field, fields[1], schedule, add_hour, why));
    KMS_TRY(each(&month_field, fields[3], schedule, add_month, why));
    return read_days(fields, schedule, why);
}
