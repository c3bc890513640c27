/* What audit stats counts and draws: latencies, intervals of time, names beyond the bound, pictures. */
#include <stdlib.h>
#include <string.h>

#include "client/kmsctl/chart.h"
#include "client/kmsctl/latency.h"
#include "client/kmsctl/stats.h"
#include "client/kmsctl/timeline.h"
#include "tests/harness/suite.h"

enum { NOON = 1763812800 /* 2025-11-22T12:00:00Z */, HOUR = 3600 };

static int by_size(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* Against the sorted list: never too low, at most a sixteenth too high. */
static void percentiles(void)
{
    enum { COUNT = 5000 };
    static uint64_t all[COUNT];
    static struct ctl_latency latency;
    uint64_t x = 1, sum = 0;
    CU_ASSERT_EQUAL(ctl_latency_percentile(&latency, 50), 0);
    CU_ASSERT_EQUAL(ctl_latency_mean(&latency), 0);
    for (size_t i = 0; i < COUNT; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        all[i] = x >> 34 >> (x % 30); /* of every size */
        sum += all[i];
        ctl_latency_add(&latency, all[i]);
    }
    qsort(all, COUNT, sizeof all[0], by_size);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t exact = all[(COUNT * percent + 99) / 100 - 1],
                 told = ctl_latency_percentile(&latency, percent);
        CU_ASSERT(told >= exact && told <= exact + exact / 16);
    }
    CU_ASSERT_EQUAL(ctl_latency_percentile(&latency, 100), all[COUNT - 1]);
    CU_ASSERT_EQUAL(ctl_latency_mean(&latency), sum / COUNT);
    ctl_latency_add(&latency, UINT64_MAX / 2); /* longer than it can tell apart */
    CU_ASSERT_EQUAL(latency.max_us, UINT64_MAX / 2);
}

static uint64_t total(const struct ctl_timeline *timeline, enum ctl_result result)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < timeline->count; i++) calls += timeline->bins[i].calls[result];
    return calls;
}

static void intervals_grow(void)
{
    static struct ctl_timeline timeline;
    char length[24];
    ctl_timeline_add(&timeline, NOON, CTL_RESULT_OK, 1);
    CU_ASSERT(timeline.count == 1 && timeline.seconds == 1 && ctl_timeline_start(&timeline, 0) == NOON);
    ctl_timeline_add(&timeline, NOON - 30, CTL_RESULT_DENIED, 2); /* earlier than the first */
    ctl_timeline_add(&timeline, NOON + 89, CTL_RESULT_OK, 3);
    CU_ASSERT(timeline.count == 120 && timeline.seconds == 1 &&
              timeline.bins[0].calls[CTL_RESULT_DENIED] == 2);
    ctl_timeline_add(&timeline, NOON + 90, CTL_RESULT_FAILED, 4);
    CU_ASSERT(timeline.seconds == 5 && ctl_timeline_start(&timeline, 0) == NOON - 30);
    CU_ASSERT_EQUAL(timeline.bins[6].calls[CTL_RESULT_OK], 1);
    for (uint64_t hour = 0; hour < 24 * 400; hour++)
        ctl_timeline_add(&timeline, NOON + hour * HOUR, CTL_RESULT_OK, 1);
    ctl_timeline_length(&timeline, length);
    CU_ASSERT_STRING_EQUAL(length, "7 d");
    CU_ASSERT(timeline.count <= CTL_TIMELINE_BINS && ctl_timeline_start(&timeline, 0) <= NOON - 30);
    CU_ASSERT(total(&timeline, CTL_RESULT_OK) == 4 + 24 * 400 && total(&timeline, CTL_RESULT_DENIED) == 2);
    ctl_timeline_fit(&timeline, 20);
    CU_ASSERT(timeline.count <= 20 && total(&timeline, CTL_RESULT_OK) == 4 + 24 * 400);
    ctl_timeline_add(&timeline, 0, CTL_RESULT_OK, 1); /* a clock that stood at 1970 */
    CU_ASSERT(timeline.count <= CTL_TIMELINE_BINS && total(&timeline, CTL_RESULT_OK) == 5 + 24 * 400);
}

static kms_err add(ctl_stats *stats, const char *members)
{
    KMS_OWN_BUF line = {0};
    KMS_TRY(kms_buf_print(&line, "{\"seq\":1,\"time\":\"2025-11-22T12:00:00.000000Z\",%s}", members));
    return ctl_stats_add(stats, kms_buf_view(&line), false);
}

static json_int_t number(json_t *all, const char *name)
{
    return json_integer_value(json_object_get(all, name));
}

static json_t *group(json_t *all, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(all, "groups"), i,
                       row) if (strcmp(json_string_value(json_object_get(row, "name")), name) ==
                                0) return row;
    return NULL;
}

static void what_counts(void)
{
    KMS_OWN(ctl_stats) stats = NULL;
    KMS_ASSERT_OK_FATAL(ctl_stats_new(CTL_BY_KEY, &stats));
    KMS_ASSERT_OK(
        add(stats, "\"kind\":\"call\",\"access\":[{\"key_id\":\"a\"},{\"key_id\":\"b\"}],\"outcome\":\"OK\","
                   "\"latency_us\":100"));
    KMS_ASSERT_OK(add(stats, "\"kind\":\"attempt\",\"access\":[{\"key_id\":\"a\"}]"));
    KMS_ASSERT_OK(add(stats, "\"kind\":\"outcome\",\"access\":[{\"key_id\":\"a\"},{\"key_id\":\"a\"}],"
                             "\"outcome\":\"ACCESS_DENIED\",\"latency_us\":300"));
    KMS_ASSERT_OK(add(stats, "\"kind\":\"suppressed\",\"principal\":\"p\",\"count\":7"));
    KMS_ASSERT_OK(add(stats,
                      "\"kind\":\"call\",\"access\":[{\"key_named\":\"alias/\\u0007\"},{\"key_id\":\"b\"}],"
                      "\"items\":[{\"count\":5,\"access\":1,\"outcome\":\"OK\"},"
                      "{\"access\":0,\"outcome\":\"NOT_FOUND\"},{\"outcome\":\"INVALID_ARGUMENT\"},"
                      "{\"access\":1,\"to_access\":0,\"outcome\":\"ACCESS_DENIED\"}],"
                      "\"outcome\":\"OK\",\"latency_us\":900"));
    KMS_ASSERT_OK(ctl_stats_add(stats, kms_bytes_text("no record"), false));
    json_t *all = ctl_stats_json(stats, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(all);
    CU_ASSERT(number(all, "records") == 4 && number(all, "calls") == 17 && number(all, "suppressed") == 7);
    CU_ASSERT(number(all, "ok") == 6 && number(all, "denied") == 2 && number(all, "failed") == 9);
    CU_ASSERT(number(all, "mean_us") == 433 && number(all, "max_us") == 900);
    CU_ASSERT(number(group(all, "a"), "calls") == 2 && number(group(all, "a"), "denied") == 1);
    CU_ASSERT(number(group(all, "b"), "calls") == 7 && number(group(all, "b"), "denied") == 1);
    CU_ASSERT(number(group(all, "alias/\a"), "failed") == 1 && number(group(all, "-"), "failed") == 8);
    CU_ASSERT_EQUAL(number(group(all, "b"), "mean_us"), 500); /* 100 and 900: once for each record */
    json_decref(all);
}

static void names_are_bounded(void)
{
    KMS_OWN(ctl_stats) stats = NULL;
    KMS_ASSERT_OK_FATAL(ctl_stats_new(CTL_BY_PRINCIPAL, &stats));
    for (unsigned i = 0; i < CTL_STATS_NAMES + 100; i++) {
        char members[100];
        snprintf(members, sizeof members, "\"kind\":\"call\",\"principal\":\"p-%u\",\"outcome\":\"OK\"", i);
        for (unsigned times = 0; times < (i == 9 ? 3 : 1); times++) KMS_ASSERT_OK_FATAL(add(stats, members));
    }
    json_t *all = ctl_stats_json(stats, CTL_STATS_NAMES);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(all, "groups")), CTL_STATS_NAMES + 1);
    CU_ASSERT(number(all, "other_calls") == 100 && number(group(all, "(other)"), "calls") == 100);
    CU_ASSERT_EQUAL(number(json_array_get(json_object_get(all, "groups"), 0), "calls"), 3);
    json_decref(all);
    all = ctl_stats_json(stats, 1);
    CU_ASSERT_EQUAL(number(all, "other_calls"), CTL_STATS_NAMES + 99);
    CU_ASSERT_EQUAL(number(group(all, "p-9"), "calls"), 3);
    json_decref(all);
}

static char drawn[8192];

static void draw(const struct ctl_timeline *timeline, size_t columns, bool blocks)
{
    FILE *out = fmemopen(drawn, sizeof drawn, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    ctl_chart_print(timeline, columns, blocks, out);
    fclose(out);
}

static void terminal_chart(void)
{
    static struct ctl_timeline timeline;
    draw(&timeline, 80, true);
    CU_ASSERT_STRING_EQUAL(drawn, "");
    ctl_timeline_add(&timeline, NOON, CTL_RESULT_OK, 800);
    ctl_timeline_add(&timeline, NOON + 1, CTL_RESULT_OK, 400);
    ctl_timeline_add(&timeline, NOON + 2, CTL_RESULT_DENIED, 1);
    draw(&timeline, 80, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "a column is 1 s:\n     800 ┤█  \n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "│██▁\n       0 └───\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "2025-11-22T12:00Z"));
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "denied, at most 1 in a column:\n         │  █\n"));
    draw(&timeline, 80, false);
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "|##.\n       0 +---\n"));
    for (const char *c = drawn; *c != '\0'; c++) CU_ASSERT_FATAL((unsigned char)*c < 0x80);
    ctl_timeline_add(&timeline, NOON + 110, CTL_RESULT_OK, 1);
    draw(&timeline, 40, false); /* narrower than there are intervals */
    CU_ASSERT_PTR_NOT_NULL(strstr(drawn, "a column is 5 s:"));
    for (const char *line = drawn; *line != '\0'; line += strcspn(line, "\n") + 1)
        CU_ASSERT(strcspn(line, "\n") <= 48);
}

static void svg(void)
{
    static struct ctl_timeline timeline;
    KMS_OWN_BUF out = {0}, empty = {0};
    KMS_ASSERT_OK(ctl_chart_svg(&timeline, "", &empty));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)empty.data, "</svg>"));
    ctl_timeline_add(&timeline, NOON, CTL_RESULT_OK, 37);
    ctl_timeline_add(&timeline, NOON, CTL_RESULT_DENIED, 1);
    KMS_ASSERT_OK(ctl_chart_svg(&timeline, "principal: <script>\"&\x1b", &out));
    const char *text = (const char *)out.data;
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "principal: &lt;script&gt;&quot;&amp;?</text>"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "2025-11-22T12:00:00Z, 37 ok, 0 failed, 1 denied"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "prefers-color-scheme: dark"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "<rect class=\"denied\" x=\"70.00\""));
    CU_ASSERT_PTR_NULL(strstr(text, "href"));
}

KMS_TEST_MAIN("client/kmsctl/stats", {"percentiles", percentiles}, {"intervals grow", intervals_grow},
              {"what counts", what_counts}, {"names are bounded", names_are_bounded},
              {"terminal chart", terminal_chart}, {"svg", svg})
