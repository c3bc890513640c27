/*
 * Metrics: what kmsd counts while it works, and how that is written for Prometheus. The table is metric.def.
 * What happens is counted where it happens, by one line; what can be looked up is looked up when somebody
 * asks (kmsd/service/tally.h puts both together).
 */
#ifndef KMS_METRICS_METRIC_H
#define KMS_METRICS_METRIC_H

#include "base/bytes.h"
#include "kmsd/metrics/times.h"

enum kms_metric {
#define KMS_METRIC(symbol, ...) KMS_METRIC_##symbol,
#include "kmsd/metrics/metric.def"
#undef KMS_METRIC
    KMS_METRICS
};

enum kms_metric_type { KMS_METRIC_COUNTER, KMS_METRIC_GAUGE, KMS_METRIC_HISTOGRAM };
enum { KMS_METRIC_LABELS = 2 };

struct kms_metric_row {
    const char *name;
    enum kms_metric_type type;
    const char *unit;                      /* "": none */
    const char *labels[KMS_METRIC_LABELS]; /* names; NULL behind the last */
    const char *help;
};
const struct kms_metric_row *kms_metric_row(enum kms_metric metric);
const char *kms_metric_type_name(enum kms_metric_type type); /* "counter", "gauge", "histogram" */

/* A counter without labels: since the process began. Thread-safe, lock-free, relaxed: one addition. */
void kms_metric_add(enum kms_metric metric, uint64_t more);
uint64_t kms_metric_count(enum kms_metric metric);

/* One value. Its labels' values are borrowed: they outlive it. */
struct kms_metric_sample {
    enum kms_metric metric;
    const char *labels[KMS_METRIC_LABELS];
    uint64_t value;              /* of a histogram: how many */
    struct kms_times_told *told; /* of a histogram; owned; else NULL */
};

/* Values in any order. Zero-initialised is empty. One owner at a time. */
struct kms_metric_samples {
    struct kms_metric_sample *items; /* owned */
    size_t count, room;
};
/* label values NULL where the metric has none. NO_MEMORY. */
KMS_MUST_USE kms_err kms_metric_put(struct kms_metric_samples *samples, enum kms_metric metric,
                                    const char *label, const char *second, uint64_t value);
/* Of a histogram, whose unit is the second. NO_MEMORY. */
KMS_MUST_USE kms_err kms_metric_put_times(struct kms_metric_samples *samples, enum kms_metric metric,
                                          const char *label, const struct kms_times_told *told);
void kms_metric_samples_free(struct kms_metric_samples *samples);
#define KMS_OWN_SAMPLES __attribute__((cleanup(kms_metric_samples_free))) struct kms_metric_samples

/* Appends Prometheus' text exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/): metrics in the order of the table, those
 * without a value left out. NO_MEMORY. */
KMS_MUST_USE kms_err kms_metric_text(const struct kms_metric_samples *samples, kms_buf *text);

#endif
