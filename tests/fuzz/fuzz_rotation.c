/*
 * Fuzzes what rotation reads from callers: schedules, and values that are JSON. The first byte says which.
 * A schedule that is read has windows in order, that do not overlap; a value that another reader takes for
 * an object is one here, and stays one when a member of it is replaced.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/rotators/value.h"
#include "kmsd/secrets/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void need(bool holds)
{
    if (!holds) abort();
}

static void schedule(struct kms_bytes text)
{
    struct kms_schedule s;
    struct kms_window w, next;
    struct kms_why why;
    const uint8_t *bar = text.len > 0 ? memchr(text.ptr, '|', text.len) : NULL;
    struct kms_schedule_rules rules = {0, text, {0}};
    if (bar != NULL) {
        rules.expression.len = (size_t)(bar - text.ptr);
        rules.duration = kms_bytes_of(bar + 1, text.len - rules.expression.len - 1);
    }
    if (kms_failed(kms_schedule_parse(&rules, KMS_SCHEDULE_HOURS_MIN, &s, &why))) return;
    uint64_t last = UINT64_C(1795348800000000);
    if (!kms_schedule_next(&s, last, last, &w)) return;
    need(w.opens_us > last && w.closes_us > w.opens_us);
    for (int i = 0; i < 10 && kms_schedule_next(&s, w.opens_us, w.opens_us, &next); i++) {
        need(next.opens_us >= w.closes_us && next.opens_us - w.opens_us >= UINT64_C(14400000000));
        w = next;
    }
}

/* jansson takes a NUL behind a number for a sign of the grammar. */
static void same_as_others(struct kms_bytes text)
{
    if (text.len == 0 || memchr(text.ptr, 0, text.len) != NULL) return;
    json_t *json = json_loadb((const char *)text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    if (json_is_object(json) && text.len <= KMS_VALUE_DEPTH_MAX) need(kms_value_is_object(text));
    json_decref(json);
}

static void read_string(void *user, struct kms_bytes inside)
{
    KMS_OWN(kms_secret) text = NULL;
    KMS_OWN(kms_secret) again = NULL;
    bool is;
    (void)user;
    if (kms_failed(kms_value_text(kms_bytes_of(inside.ptr - 1, inside.len + 2), &text, &is)) || !is) return;
    struct kms_bytes means = kms_bytes_of(kms_secret_data(text), kms_secret_len(text) - 1);
    uint8_t *quoted = malloc(kms_value_size(means));
    need(quoted != NULL);
    need(kms_value_put(quoted, means) == quoted + kms_value_size(means));
    need(!kms_failed(kms_value_text(kms_bytes_of(quoted, kms_value_size(means)), &again, &is)) && is);
    need(kms_secret_len(again) == kms_secret_len(text) &&
         memcmp(kms_secret_data(again), kms_secret_data(text), kms_secret_len(text)) == 0);
    free(quoted);
}

static void value(struct kms_bytes text)
{
    struct kms_bytes raw;
    KMS_OWN(kms_secret) replaced = NULL;
    same_as_others(text);
    kms_value_each(text, read_string, NULL);
    if (!kms_value_member(text, "password", &raw)) return;
    need(kms_value_is_object(text));
    if (kms_failed(kms_value_replace(text, "password", kms_bytes_text("new \"one\""), &replaced))) return;
    struct kms_bytes object = kms_bytes_of(kms_secret_data(replaced), kms_secret_len(replaced));
    need(kms_value_is_object(object) && kms_value_member(object, "password", &raw));
    need(kms_bytes_equal(raw, kms_bytes_text("\"new \\\"one\\\"\"")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    if (data[0] == 's')
        schedule(kms_bytes_of(data + 1, len - 1));
    else
        value(kms_bytes_of(data + 1, len - 1));
    return 0;
}
