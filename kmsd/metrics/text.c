/* Prometheus' text exposition format 0.0.4. */
#include <stdio.h>
#include <string.h>

#include "kmsd/metrics/metric.h"

/* In the text of help, and in the value of a label, which stands in quotes. */
static kms_err put_escaped(kms_buf *text, const char *from, const char *special)
{
    while (*from != '\0') {
        size_t plain = strcspn(from, special);
        KMS_TRY(kms_buf_append(text, from, plain));
        from += plain;
        if (*from == '\0') break;
        const char escaped[2] = {'\\', *from == '\n' ? 'n' : *from};
        KMS_TRY(kms_buf_append(text, escaped, sizeof escaped));
        from++;
    }
    return KMS_OK;
}

static kms_err put_head(kms_buf *text, const struct kms_metric_row *row)
{
    KMS_TRY(kms_buf_print(text, "# HELP %s ", row->name));
    KMS_TRY(put_escaped(text, row->help, "\\\n"));
    return kms_buf_print(text, "\n# TYPE %s %s\n", row->name, kms_metric_type_name(row->type));
}

/* Name, what the name of a histogram goes on with, and all labels: those of the sample, and le. */
static kms_err put_name(kms_buf *text, const struct kms_metric_row *row, const char *suffix,
                        const struct kms_metric_sample *sample, const char *le)
{
    const char *between = "{";
    KMS_TRY(kms_buf_print(text, "%s%s", row->name, suffix));
    for (size_t i = 0; i < KMS_METRIC_LABELS && row->labels[i] != NULL; i++) {
        KMS_TRY(kms_buf_print(text, "%s%s=\"", between, row->labels[i]));
        KMS_TRY(put_escaped(text, sample->labels[i], "\\\n\""));
        KMS_TRY(kms_buf_append(text, "\"", 1));
        between = ",";
    }
    if (le != NULL) KMS_TRY(kms_buf_print(text, "%sle=\"%s\"", between, le));
    return kms_buf_print(text, "%s ", le != NULL || row->labels[0] != NULL ? "}" : "");
}

static kms_err put_value(kms_buf *text, uint64_t value)
{
    return kms_buf_print(text, "%llu\n", (unsigned long long)value);
}

/* Whole nanoseconds, so that no digit is lost. */
static void seconds_text(uint64_t ns, char *text, size_t size)
{
    snprintf(text, size, "%llu.%09llu", (unsigned long long)(ns / 1000000000),
             (unsigned long long)(ns % 1000000000));
}

/* Each bucket counts what those before it do, too. */
static kms_err put_times(kms_buf *text, const struct kms_metric_row *row,
                         const struct kms_metric_sample *sample)
{
    char seconds[40];
    uint64_t count = 0;
    for (unsigned i = 0; i < KMS_TIMES_BOUNDS; i++) {
        count += sample->told->counts[i];
        seconds_text(kms_times_bound_ns(i), seconds, sizeof seconds);
        seconds[strlen(seconds) - 3] = '\0'; /* whole microseconds */
        KMS_TRY(put_name(text, row, "_bucket", sample, seconds));
        KMS_TRY(put_value(text, count));
    }
    KMS_TRY(put_name(text, row, "_bucket", sample, "+Inf"));
    KMS_TRY(put_value(text, sample->told->count));
    KMS_TRY(put_name(text, row, "_sum", sample, NULL));
    seconds_text(sample->told->sum_ns, seconds, sizeof seconds);
    KMS_TRY(kms_buf_print(text, "%s\n", seconds));
    KMS_TRY(put_name(text, row, "_count", sample, NULL));
    return put_value(text, sample->told->count);
}

static kms_err put_sample(kms_buf *text, const struct kms_metric_row *row,
                          const struct kms_metric_sample *sample)
{
    if (row->type == KMS_METRIC_HISTOGRAM) return put_times(text, row, sample);
    KMS_TRY(put_name(text, row, "", sample, NULL));
    return put_value(text, sample->value);
}

/* All values of a metric must stand together. */
kms_err kms_metric_text(const struct kms_metric_samples *samples, kms_buf *text)
{
    for (enum kms_metric metric = 0; metric < KMS_METRICS; metric++) {
        const struct kms_metric_row *row = kms_metric_row(metric);
        bool headed = false;
        for (size_t i = 0; i < samples->count; i++) {
            if (samples->items[i].metric != metric) continue;
            if (!headed) KMS_TRY(put_head(text, row));
            headed = true;
            KMS_TRY(put_sample(text, row, &samples->items[i]));
        }
    }
    return KMS_OK;
}
