/* One pass over the bytes: texts are skipped by memchr, nested values by counting brackets. */
#include "kmsd/audit/fields.h"

#include <string.h>

/* Behind the quote that closes a text whose opening quote is at `at`; NULL: it does not close. */
static const char *after_text(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL) return NULL;
        size_t slashes = 0;
        while (quote - slashes > at && quote[-1 - (ptrdiff_t)slashes] == '\\') slashes++;
        if (slashes % 2 == 0) return quote + 1;
        at = quote; /* escaped: it belongs to the text */
    }
    return NULL;
}

static const char *after_nested(const char *at, const char *end)
{
    size_t depth = 0;
    while (at != NULL && at < end) {
        char c = *at;
        if (c == '"') {
            at = after_text(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return at;
    }
    return NULL;
}

static const char *after_value(const char *at, const char *end)
{
    if (at == end) return NULL;
    if (*at == '"') return after_text(at, end);
    if (*at == '{' || *at == '[') return after_nested(at, end);
    const char *start = at;
    while (at < end && *at != ',' && *at != '}' && *at != ']') at++;
    return at > start ? at : NULL;
}

struct kms_audit_walk kms_audit_walk(struct kms_bytes value)
{
    const char *text = (const char *)value.ptr;
    bool object = value.len >= 2 && text[0] == '{' && text[value.len - 1] == '}';
    bool array = value.len >= 2 && text[0] == '[' && text[value.len - 1] == ']';
    if (!object && !array) return (struct kms_audit_walk){.failed = value.len > 0};
    return (struct kms_audit_walk){.at = text + 1, .end = text + value.len - 1, .object = object};
}

static bool fail(struct kms_audit_walk *walk)
{
    walk->failed = true;
    walk->at = walk->end;
    return false;
}

bool kms_audit_walk_next(struct kms_audit_walk *walk, struct kms_bytes *ret_name, struct kms_bytes *ret_value)
{
    const char *at = walk->at, *end = walk->end;
    *ret_name = (struct kms_bytes){NULL, 0};
    if (walk->failed || at == end) return false;
    if (walk->object) {
        const char *behind = *at == '"' ? after_text(at, end) : NULL;
        if (behind == NULL || behind == end || *behind != ':') return fail(walk);
        *ret_name = kms_bytes_of(at + 1, (size_t)(behind - at) - 2);
        at = behind + 1;
    }
    const char *behind = after_value(at, end);
    if (behind == NULL || (behind < end && *behind != ',')) return fail(walk);
    *ret_value = kms_bytes_of(at, (size_t)(behind - at));
    walk->at = behind < end ? behind + 1 : end;
    return true;
}

static bool is(struct kms_bytes text, const char *name, size_t len)
{
    return text.len == len && memcmp(text.ptr, name, len) == 0;
}

struct kms_bytes kms_audit_member(struct kms_bytes object, const char *name)
{
    struct kms_audit_walk walk = kms_audit_walk(object);
    struct kms_bytes found, value;
    while (kms_audit_walk_next(&walk, &found, &value))
        if (is(found, name, strlen(name))) return value;
    return (struct kms_bytes){NULL, 0};
}

struct kms_bytes kms_audit_inside(struct kms_bytes text)
{
    if (text.len < 2 || text.ptr[0] != '"') return (struct kms_bytes){NULL, 0};
    return kms_bytes_of(text.ptr + 1, text.len - 2);
}

uint64_t kms_audit_number(struct kms_bytes value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9' || number > UINT64_MAX / 10 - 1) return 0;
        number = 10 * number + (uint64_t)(value.ptr[i] - '0');
    }
    return number;
}

static void take(struct kms_audit_fields *f, struct kms_bytes name, struct kms_bytes value)
{
    const struct {
        const char *name;
        struct kms_bytes *to;
    } texts[] = {{"time", &f->time},
                 {"kind", &f->kind},
                 {"request_id", &f->request_id},
                 {"principal", &f->principal},
                 {"operation", &f->operation},
                 {"outcome", &f->outcome},
                 {"correlation_id", &f->correlation_id},
                 {"protocol", &f->protocol}};
    if (value.ptr[0] == '"') {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            if (is(name, texts[i].name, strlen(texts[i].name))) *texts[i].to = kms_audit_inside(value);
    } else if (is(name, "access", 6)) {
        f->access = value;
    } else if (is(name, "items", 5)) {
        f->items = value;
    } else if (is(name, "latency_us", 10)) {
        f->latency_us = kms_audit_number(value);
    } else if (is(name, "count", 5)) {
        f->count = kms_audit_number(value);
    }
}

bool kms_audit_fields_read(struct kms_bytes line, struct kms_audit_fields *ret_fields)
{
    struct kms_audit_fields fields = {0};
    struct kms_audit_walk walk = kms_audit_walk(line);
    struct kms_bytes name, value;
    while (kms_audit_walk_next(&walk, &name, &value)) take(&fields, name, value);
    if (walk.failed || fields.time.len == 0 || fields.kind.len == 0) return false;
    *ret_fields = fields;
    return true;
}
