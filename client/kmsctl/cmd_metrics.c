/* kmsctl metrics. */
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/output.h"

#define METHOD "SystemService/GetMetrics"

/* {"method": "Encrypt", "outcome": "OK"} -> "method=Encrypt outcome=OK" */
static json_t *words_of(const json_t *labels)
{
    KMS_OWN_BUF text = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        kms_err err =
            kms_buf_print(&text, "%s%s=%s", text.len > 0 ? " " : "", name, json_string_value(value));
        if (kms_failed(err)) return NULL;
    }
    return json_string(text.len > 0 ? (const char *)text.data : "");
}

static json_int_t number(const json_t *of, const char *name)
{
    return json_integer_value(json_object_get(of, name));
}

/* The bound that so many in a hundred are within, in nanoseconds; 0: some are beyond every bound. */
static json_int_t bound_of(const json_t *buckets, json_int_t count, int percent)
{
    const json_t *bucket;
    json_int_t seen = 0;
    size_t i;
    json_array_foreach(buckets, i, bucket)
    {
        seen += number(bucket, "count");
        if (seen * 100 >= count * percent) return number(bucket, "up_to_ns");
    }
    return 0;
}

static kms_err put_bound(kms_buf *text, const json_t *buckets, json_int_t count, int percent)
{
    json_int_t ns = bound_of(buckets, count, percent);
    if (ns > 0) return kms_buf_print(text, ", p%d <= %lld us", percent, (long long)(ns / 1000));
    return kms_buf_print(text, ", p%d beyond all bounds", percent);
}

/* "1200 times, mean 12.3 us, p50 <= 16 us, p99 <= 64 us" */
static json_t *times_text(json_int_t count, const json_t *times)
{
    KMS_OWN_BUF text = {0};
    const json_t *buckets = json_object_get(times, "buckets");
    kms_err err = kms_buf_print(&text, "%lld times", (long long)count);
    if (count > 0 && !kms_failed(err))
        err = kms_buf_print(&text, ", mean %.1f us", (double)number(times, "sum_ns") / 1e3 / (double)count);
    if (count > 0 && !kms_failed(err)) err = put_bound(&text, buckets, count, 50);
    if (count > 0 && !kms_failed(err)) err = put_bound(&text, buckets, count, 99);
    return kms_failed(err) ? NULL : json_string((const char *)text.data);
}

/* A new reference. */
static json_t *value_of(const json_t *sample)
{
    json_t *times = json_object_get(sample, "times");
    if (times == NULL) return json_incref(json_object_get(sample, "value"));
    return times_text(number(sample, "value"), times);
}

/* A line for each value. NULL: no memory. */
static json_t *lines_of(const json_t *metrics)
{
    json_t *lines = json_array(), *metric, *sample;
    size_t i, k;
    json_array_foreach(metrics, i, metric)
    {
        json_array_foreach(json_object_get(metric, "samples"), k, sample)
        {
            json_t *line = json_pack("{s:O,s:o,s:o}", "metric", json_object_get(metric, "name"), "labels",
                                     words_of(json_object_get(sample, "labels")), "value", value_of(sample));
            if (json_array_append_new(lines, line) == 0) continue;
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

static bool print_text(struct ctl *ctl)
{
    json_t *reply;
    if (!ctl_call(ctl, METHOD, json_pack("{s:b}", "as_text", 1), &reply)) return false;
    const char *text = json_string_value(json_object_get(reply, "text"));
    bool ok = ctl_write(ctl, kms_bytes_text(text != NULL ? text : ""));
    json_decref(reply);
    return ok;
}

bool ctl_metrics(struct ctl *ctl)
{
    json_t *reply;
    if (ctl->prometheus && ctl->output != NULL) return ctl_fail_usage(ctl, "--prometheus or -o, not both");
    if (ctl->prometheus) return print_text(ctl);
    if (!ctl_call(ctl, METHOD, json_object(), &reply)) return false;
    json_t *metrics = json_incref(json_object_get(reply, "metrics"));
    json_decref(reply);
    if (ctl_wants_json(ctl)) return ctl_print(ctl, metrics);
    json_t *lines = lines_of(metrics);
    json_decref(metrics);
    return ctl_print(ctl, lines);
}
