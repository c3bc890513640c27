/* Prometheus' text exposition format 0.0.4. */
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

static kms_err put_sample(kms_buf *text, const struct kms_metric_row *row,
                          const struct kms_metric_sample *sample)
{
    const char *between = "{";
    KMS_TRY(kms_buf_print(text, "%s", row->name));
    for (size_t i = 0; i < KMS_METRIC_LABELS && row->labels[i] != NULL; i++) {
        KMS_TRY(kms_buf_print(text, "%s%s=\"", between, row->labels[i]));
        KMS_TRY(put_escaped(text, sample->labels[i], "\\\n\""));
        KMS_TRY(kms_buf_append(text, "\"", 1));
        between = ",";
    }
    return kms_buf_print(text, "%s %llu\n", row->labels[0] != NULL ? "}" : "",
                         (unsigned long long)sample->value);
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
