/* The table, and its counters. */
#include "kmsd/metrics/metric.h"

#include <stdatomic.h>
#include <stdlib.h>

static const struct kms_metric_row rows[KMS_METRICS] = {
#define KMS_METRIC(symbol, type_, name_, unit_, label_, second_, help_)                                      \
    [KMS_METRIC_##symbol] = {.name = (name_),                                                                \
                             .type = KMS_METRIC_##type_,                                                     \
                             .unit = (unit_),                                                                \
                             .labels = {(label_), (second_)},                                                \
                             .help = (help_)},
#include "kmsd/metrics/metric.def"
#undef KMS_METRIC
};

/* Each on a cache line of its own: those who count do not wait for each other. */
static struct {
    _Alignas(64) atomic_ullong count;
} counters[KMS_METRICS];

const struct kms_metric_row *kms_metric_row(enum kms_metric metric)
{
    return &rows[metric];
}

const char *kms_metric_type_name(enum kms_metric_type type)
{
    static const char *const names[] = {
        [KMS_METRIC_COUNTER] = "counter", [KMS_METRIC_GAUGE] = "gauge", [KMS_METRIC_HISTOGRAM] = "histogram"};
    return names[type];
}

void kms_metric_add(enum kms_metric metric, uint64_t more)
{
    atomic_fetch_add_explicit(&counters[metric].count, more, memory_order_relaxed);
}

uint64_t kms_metric_count(enum kms_metric metric)
{
    return atomic_load_explicit(&counters[metric].count, memory_order_relaxed);
}

kms_err kms_metric_put(struct kms_metric_samples *samples, enum kms_metric metric, const char *label,
                       const char *second, uint64_t value)
{
    if (samples->count == samples->room) {
        size_t room = samples->room > 0 ? 2 * samples->room : 64;
        struct kms_metric_sample *items = realloc(samples->items, room * sizeof *items);
        if (items == NULL) return KMS_FAIL(NO_MEMORY);
        samples->items = items;
        samples->room = room;
    }
    samples->items[samples->count++] =
        (struct kms_metric_sample){.metric = metric, .labels = {label, second}, .value = value};
    return KMS_OK;
}

kms_err kms_metric_put_times(struct kms_metric_samples *samples, enum kms_metric metric, const char *label,
                             const struct kms_times_told *told)
{
    struct kms_times_told *copy = malloc(sizeof *copy);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_metric_put(samples, metric, label, NULL, told->count);
    if (kms_failed(err)) {
        free(copy);
        return err;
    }
    *copy = *told;
    samples->items[samples->count - 1].told = copy;
    return KMS_OK;
}

void kms_metric_samples_free(struct kms_metric_samples *samples)
{
    for (size_t i = 0; i < samples->count; i++) free(samples->items[i].told);
    free(samples->items);
    *samples = (struct kms_metric_samples){.count = 0};
}
