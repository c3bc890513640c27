/* The table keeps Prometheus' rules of names; counters count; the text is what the format says. */
#include "kmsd/metrics/metric.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static bool ends(const char *text, const char *with)
{
    size_t len = strlen(text), tail = strlen(with);
    return len > tail && strcmp(text + len - tail, with) == 0;
}

static bool is_name(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0' && name[0] != '_';
}

/* A sample of each metric, its labels' values as their names. */
static void put_each(struct kms_metric_samples *samples, uint64_t value)
{
    for (enum kms_metric metric = 0; metric < KMS_METRICS; metric++) {
        const struct kms_metric_row *row = kms_metric_row(metric);
        if (row->type == KMS_METRIC_HISTOGRAM) continue;
        KMS_ASSERT_OK_FATAL(kms_metric_put(samples, metric, row->labels[0], row->labels[1], value));
    }
}

static void names(void)
{
    for (enum kms_metric metric = 0; metric < KMS_METRICS; metric++) {
        const struct kms_metric_row *row = kms_metric_row(metric);
        CU_ASSERT(strncmp(row->name, "kmsd_", 5) == 0 && is_name(row->name));
        CU_ASSERT_EQUAL(ends(row->name, "_total"), row->type == KMS_METRIC_COUNTER);
        CU_ASSERT_PTR_NOT_NULL(strstr(row->name, row->unit)); /* the unit is in the name */
        CU_ASSERT(row->labels[0] != NULL || row->labels[1] == NULL);
        CU_ASSERT(row->type != KMS_METRIC_HISTOGRAM || strcmp(row->unit, "seconds") == 0);
        for (size_t i = 0; i < KMS_METRIC_LABELS; i++)
            CU_ASSERT(row->labels[i] == NULL || is_name(row->labels[i]));
        CU_ASSERT(row->help[0] != '\0' && !ends(row->help, "."));
        for (enum kms_metric other = 0; other < metric; other++)
            CU_ASSERT_STRING_NOT_EQUAL(row->name, kms_metric_row(other)->name);
    }
}

enum { THREADS = 4, TIMES = 10000 };

static void *count_up(void *unused)
{
    for (int i = 0; i < TIMES; i++) kms_metric_add(KMS_METRIC_LEASES_REVOKED, 2);
    return unused;
}

static void counters_count(void)
{
    pthread_t threads[THREADS];
    CU_ASSERT_EQUAL(kms_metric_count(KMS_METRIC_LEASES_REVOKED), 0);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(kms_metric_count(KMS_METRIC_LEASES_REVOKED), 2 * THREADS * TIMES);
    CU_ASSERT_EQUAL(kms_metric_count(KMS_METRIC_LEASES_RENEWED), 0); /* nor its neighbours */
}

static void the_text(void)
{
    KMS_OWN_SAMPLES samples = {.count = 0};
    KMS_OWN_BUF text = {0};
    KMS_ASSERT_OK_FATAL(kms_metric_put(&samples, KMS_METRIC_KEYS, NULL, NULL, 7));
    KMS_ASSERT_OK_FATAL(kms_metric_put(&samples, KMS_METRIC_CALLS, "Encrypt", "OK", UINT64_MAX));
    KMS_ASSERT_OK_FATAL(kms_metric_put(&samples, KMS_METRIC_SECRETS, NULL, NULL, 0));
    KMS_ASSERT_OK_FATAL(kms_metric_put(&samples, KMS_METRIC_CALLS, "Decrypt", "OK", 1));
    KMS_ASSERT_OK_FATAL(kms_metric_put(&samples, KMS_METRIC_BUILD_INFO, "a\"b\\c\nd", NULL, 1));
    KMS_ASSERT_OK_FATAL(kms_metric_text(&samples, &text));
    /* all of a metric together, in the order of the table */
    CU_ASSERT_STRING_EQUAL(
        (const char *)text.data,
        "# HELP kmsd_build_info Always 1\n"
        "# TYPE kmsd_build_info gauge\n"
        "kmsd_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"
        "# HELP kmsd_calls_total Calls that were answered; the outcome is OK or the reason, as in "
        "audit records\n"
        "# TYPE kmsd_calls_total counter\n"
        "kmsd_calls_total{method=\"Encrypt\",outcome=\"OK\"} 18446744073709551615\n"
        "kmsd_calls_total{method=\"Decrypt\",outcome=\"OK\"} 1\n"
        "# HELP kmsd_keys Keys in the keystore\n"
        "# TYPE kmsd_keys gauge\n"
        "kmsd_keys 7\n"
        "# HELP kmsd_secrets Stored secrets\n"
        "# TYPE kmsd_secrets gauge\n"
        "kmsd_secrets 0\n");
}

/* One line each for help, type and value, and nothing that would end a line early. */
static void every_metric_has_three_lines(void)
{
    KMS_OWN_SAMPLES samples = {.count = 0};
    KMS_OWN_BUF text = {0};
    size_t lines = 0;
    put_each(&samples, 3);
    KMS_ASSERT_OK_FATAL(kms_metric_text(&samples, &text));
    for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
    CU_ASSERT_EQUAL(lines, 3 * (KMS_METRICS - 1)); /* one is a histogram */
    CU_ASSERT_EQUAL(text.data[text.len - 1], '\n');
}

/* Buckets hold what those before them do; seconds are written without rounding. */
static void a_histogram(void)
{
    static struct kms_times times;
    struct kms_times_told told = {.count = 0};
    KMS_OWN_SAMPLES samples = {.count = 0};
    KMS_OWN_BUF text = {0};
    const uint64_t took_ns[] = {0, 1000, 1001, 4000, UINT64_C(3000000005), UINT64_C(4194304001)};
    for (size_t i = 0; i < sizeof took_ns / sizeof took_ns[0]; i++) kms_times_add(&times, took_ns[i]);
    kms_times_tell(&times, &told);
    KMS_ASSERT_OK_FATAL(kms_metric_put_times(&samples, KMS_METRIC_STATION_SECONDS, "hsm", &told));
    KMS_ASSERT_OK_FATAL(kms_metric_text(&samples, &text));
    const char *is = (const char *)text.data;
    const char *const lines[] = {
        "# TYPE kmsd_station_seconds histogram\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"0.000001\"} 2\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"0.000002\"} 3\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"0.000004\"} 4\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"2.097152\"} 4\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"4.194304\"} 5\n",
        "kmsd_station_seconds_bucket{station=\"hsm\",le=\"+Inf\"} 6\n",
        "kmsd_station_seconds_sum{station=\"hsm\"} 7.194310007\n",
        "kmsd_station_seconds_count{station=\"hsm\"} 6\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *found = strstr(is, lines[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found); /* in this order */
        is = found;
    }
}

static void bounds_are_where_times_are_counted(void)
{
    for (unsigned i = 0; i < KMS_TIMES_BOUNDS; i++) {
        struct kms_times times = {.sum_ns = 0};
        struct kms_times_told told = {.count = 0};
        kms_times_add(&times, kms_times_bound_ns(i));
        kms_times_add(&times, kms_times_bound_ns(i) + 1);
        kms_times_tell(&times, &told);
        CU_ASSERT(told.counts[i] == 1 && told.counts[i + 1] == 1 && told.count == 2);
        kms_times_tell(&times, &told); /* adds */
        CU_ASSERT(told.count == 4 && told.sum_ns == 4 * kms_times_bound_ns(i) + 2);
    }
}

static void memory_runs_out(void)
{
    FAULTS_EACH () {
        KMS_OWN_SAMPLES samples = {.count = 0};
        KMS_OWN_BUF text = {0};
        kms_err err = KMS_OK;
        for (int i = 0; i < 200 && !kms_failed(err); i++)
            err = kms_metric_put(&samples, KMS_METRIC_CALLS, "Encrypt", "OK", 1);
        const struct kms_times_told told = {.count = 0};
        if (!kms_failed(err)) err = kms_metric_put_times(&samples, KMS_METRIC_STATION_SECONDS, "hsm", &told);
        if (!kms_failed(err)) err = kms_metric_text(&samples, &text);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (faults_hit()) KMS_ASSERT_CODE(err, NO_MEMORY);
    }
}

KMS_TEST_MAIN("metrics/metric", {"names", names}, {"counters count", counters_count}, {"the text", the_text},
              {"every metric has three lines", every_metric_has_three_lines}, {"a histogram", a_histogram},
              {"bounds are where times are counted", bounds_are_where_times_are_counted},
              {"memory runs out", memory_runs_out})
