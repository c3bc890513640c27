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

/* A line for each value. NULL: no memory. */
static json_t *lines_of(const json_t *metrics)
{
    json_t *lines = json_array(), *metric, *sample;
    size_t i, k;
    json_array_foreach(metrics, i, metric)
    {
        json_array_foreach(json_object_get(metric, "samples"), k, sample)
        {
            json_t *line = json_pack("{s:O,s:o,s:O}", "metric", json_object_get(metric, "name"), "labels",
                                     words_of(json_object_get(sample, "labels")), "value",
                                     json_object_get(sample, "value"));
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
