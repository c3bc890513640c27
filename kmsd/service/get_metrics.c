/* GetMetrics: every metric, as a list or as the text that Prometheus reads. */
#include "kms/v1/system.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/metrics.h"
#include "kmsd/service/seal.h"

kms_err kms_get_metrics_gather(struct kms_call *call)
{
    return kms_access_service(call, KMS_ACT_GET_METRICS);
}

static kms_err set_text(struct kms_call *call, const struct kms_metric_samples *samples,
                        Kms__V1__GetMetricsResponse *reply)
{
    KMS_OWN_BUF text = {0};
    KMS_TRY(kms_metric_text(samples, &text));
    reply->text = kms_arena_print(&call->arena, "%s", (const char *)text.data);
    return reply->text != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err add_labels(struct kms_call *call, const struct kms_metric_row *row,
                          const struct kms_metric_sample *sample, Kms__V1__MetricSample *to)
{
    Kms__V1__MetricSample__LabelsEntry *labels = kms_call_alloc(call, KMS_METRIC_LABELS * sizeof *labels);
    to->labels = kms_call_alloc(call, KMS_METRIC_LABELS * sizeof(void *));
    if (labels == NULL || to->labels == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < KMS_METRIC_LABELS && row->labels[i] != NULL; i++) {
        kms__v1__metric_sample__labels_entry__init(&labels[i]);
        labels[i].key = kms_lend(row->labels[i]);
        labels[i].value = kms_lend(sample->labels[i]);
        to->labels[to->n_labels++] = &labels[i];
    }
    return KMS_OK;
}

static kms_err add_times(struct kms_call *call, const struct kms_times_told *told,
                         Kms__V1__MetricSample *sample)
{
    Kms__V1__MetricTimes *to = sample->times = kms_call_alloc(call, sizeof *to);
    if (to == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__metric_times__init(to);
    Kms__V1__MetricBucket *buckets = kms_call_alloc(call, (KMS_TIMES_BOUNDS + 1) * sizeof *buckets);
    to->buckets = kms_call_alloc(call, (KMS_TIMES_BOUNDS + 1) * sizeof *to->buckets);
    if (buckets == NULL || to->buckets == NULL) return KMS_FAIL(NO_MEMORY);
    to->sum_ns = told->sum_ns;
    for (unsigned i = 0; i <= KMS_TIMES_BOUNDS; i++) {
        if (told->counts[i] == 0) continue;
        Kms__V1__MetricBucket *bucket = &buckets[to->n_buckets];
        kms__v1__metric_bucket__init(bucket);
        bucket->up_to_ns = i < KMS_TIMES_BOUNDS ? kms_times_bound_ns(i) : 0;
        bucket->count = told->counts[i];
        to->buckets[to->n_buckets++] = bucket;
    }
    return KMS_OK;
}

static kms_err add_samples(struct kms_call *call, const struct kms_metric_samples *samples,
                           enum kms_metric which, Kms__V1__Metric *to)
{
    size_t count = 0;
    for (size_t i = 0; i < samples->count; i++) count += samples->items[i].metric == which;
    Kms__V1__MetricSample *list = kms_call_alloc(call, (count + 1) * sizeof *list);
    to->samples = kms_call_alloc(call, (count + 1) * sizeof *to->samples);
    if (list == NULL || to->samples == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < samples->count; i++) {
        if (samples->items[i].metric != which) continue;
        Kms__V1__MetricSample *sample = &list[to->n_samples];
        kms__v1__metric_sample__init(sample);
        sample->value = samples->items[i].value;
        if (samples->items[i].told != NULL) KMS_TRY(add_times(call, samples->items[i].told, sample));
        KMS_TRY(add_labels(call, kms_metric_row(which), &samples->items[i], sample));
        to->samples[to->n_samples++] = sample;
    }
    return KMS_OK;
}

static kms_err set_list(struct kms_call *call, const struct kms_metric_samples *samples,
                        Kms__V1__GetMetricsResponse *reply)
{
    static const Kms__V1__MetricType types[] = {
        [KMS_METRIC_COUNTER] = KMS__V1__METRIC_TYPE__METRIC_TYPE_COUNTER,
        [KMS_METRIC_GAUGE] = KMS__V1__METRIC_TYPE__METRIC_TYPE_GAUGE,
        [KMS_METRIC_HISTOGRAM] = KMS__V1__METRIC_TYPE__METRIC_TYPE_HISTOGRAM};
    Kms__V1__Metric *list = kms_call_alloc(call, KMS_METRICS * sizeof *list);
    reply->metrics = kms_call_alloc(call, KMS_METRICS * sizeof *reply->metrics);
    if (list == NULL || reply->metrics == NULL) return KMS_FAIL(NO_MEMORY);
    for (enum kms_metric metric = 0; metric < KMS_METRICS; metric++) {
        const struct kms_metric_row *row = kms_metric_row(metric);
        kms__v1__metric__init(&list[metric]);
        list[metric].name = kms_lend(row->name);
        list[metric].type = types[row->type];
        list[metric].unit = kms_lend(row->unit);
        list[metric].help = kms_lend(row->help);
        KMS_TRY(add_samples(call, samples, metric, &list[metric]));
        reply->metrics[reply->n_metrics++] = &list[metric];
    }
    return KMS_OK;
}

kms_err kms_get_metrics_act(struct kms_call *call)
{
    const Kms__V1__GetMetricsRequest *request = (const void *)call->request;
    Kms__V1__GetMetricsResponse *reply = kms_new_reply(call);
    KMS_OWN_SAMPLES samples = {.count = 0};
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_metrics_collect(call->core, &samples));
    return request->as_text ? set_text(call, &samples, reply) : set_list(call, &samples, reply);
}
