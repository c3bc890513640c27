/* The picture as SVG: bars of three colours on top of each other, both axes, and what the colours mean.
 * Coordinates are those of a page of 800 x 360. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "client/kmsctl/chart.h"

enum {
    WIDTH = 800,
    HEIGHT = 360,
    LEFT = 70,
    RIGHT = 780,
    TOP = 70,
    BOTTOM = 310,
    TICKS = 4,
    TIMES = 5,
};

/* From the bottom of a bar to its top. Colours that differ for the colour-blind, too. */
static const struct {
    enum ctl_result result;
    const char *name, *light, *dark;
} layers[] = {
    {CTL_RESULT_OK, "ok", "#0072b2", "#56b4e9"},
    {CTL_RESULT_FAILED, "failed", "#b58900", "#e6c229"},
    {CTL_RESULT_DENIED, "denied", "#d02020", "#ff6b5e"},
};
enum { LAYERS = sizeof layers / sizeof layers[0] };

/* Text between tags: any text. */
static kms_err put_text(kms_buf *out, const char *text)
{
    if (!kms_utf8_valid(kms_bytes_text(text))) text = "(not UTF-8)";
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        const char *entity = *c == '&'                 ? "&amp;"
                             : *c == '<'               ? "&lt;"
                             : *c == '>'               ? "&gt;"
                             : *c == '"'               ? "&quot;"
                             : *c < 0x20 || *c == 0x7f ? "?"
                                                       : NULL;
        KMS_TRY(entity != NULL ? kms_buf_print(out, "%s", entity) : kms_buf_append(out, c, 1));
    }
    return KMS_OK;
}

static kms_err put_head(kms_buf *out, const char *subtitle, const char *length)
{
    KMS_TRY(kms_buf_print(out,
                          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                          "height=\"%d\" role=\"img\" aria-label=\"Calls over time\">\n<style>\n"
                          "svg{background:#ffffff;font:12px sans-serif}text{fill:#222222}"
                          ".axis{stroke:#888888}.grid{stroke:#dddddd}",
                          WIDTH, HEIGHT, WIDTH, HEIGHT));
    for (size_t i = 0; i < LAYERS; i++)
        KMS_TRY(kms_buf_print(out, ".%s{fill:%s}", layers[i].name, layers[i].light));
    KMS_TRY(kms_buf_print(out, "\n@media (prefers-color-scheme: dark){svg{background:#16191d}"
                               "text{fill:#e6e6e6}.axis{stroke:#8a8f98}.grid{stroke:#33383f}"));
    for (size_t i = 0; i < LAYERS; i++)
        KMS_TRY(kms_buf_print(out, ".%s{fill:%s}", layers[i].name, layers[i].dark));
    KMS_TRY(kms_buf_print(out,
                          "}\n</style>\n<title>Calls over time</title>\n"
                          "<text x=\"%d\" y=\"24\" font-size=\"16\">Calls in each %s</text>\n"
                          "<text x=\"%d\" y=\"44\">",
                          LEFT, length, LEFT));
    KMS_TRY(put_text(out, subtitle));
    return kms_buf_print(out, "</text>\n");
}

/* The smallest 1, 2 or 5 times a power of ten that is not below most / TICKS. */
static uint64_t step_of(uint64_t most)
{
    uint64_t power = 1;
    for (; power * 10 * TICKS <= most; power *= 10) continue;
    for (uint64_t factor = 1;; factor = factor == 1 ? 2 : factor == 2 ? 5 : 10)
        if (factor * power * TICKS >= most) return factor * power;
}

static double y_of(uint64_t calls, uint64_t top)
{
    return BOTTOM - (double)calls / (double)top * (BOTTOM - TOP);
}

static kms_err put_axes(kms_buf *out, const struct ctl_timeline *timeline, uint64_t step)
{
    for (uint64_t i = 0; i <= TICKS; i++) {
        double y = y_of(i * step, TICKS * step);
        KMS_TRY(kms_buf_print(out,
                              "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                              "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%" PRIu64 "</text>\n",
                              i == 0 ? "axis" : "grid", LEFT, RIGHT, y, y, LEFT - 8, y + 4, i * step));
    }
    size_t times = timeline->count < TIMES ? timeline->count : TIMES;
    for (size_t i = 0; i < times; i++) {
        size_t bin = i * timeline->count / times;
        char time[KMS_TIME_TEXT];
        kms_time_text(ctl_timeline_start(timeline, bin) * 1000000, time);
        double x = LEFT + (double)bin * (RIGHT - LEFT) / (double)timeline->count;
        KMS_TRY(
            kms_buf_print(out,
                          "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                          "<text x=\"%.1f\" y=\"%d\">%.10s</text><text x=\"%.1f\" y=\"%d\">%.8sZ</text>\n",
                          x, x, BOTTOM, BOTTOM + 6, x, BOTTOM + 20, time, x, BOTTOM + 36, time + 11));
    }
    return KMS_OK;
}

static kms_err put_bar(kms_buf *out, const struct ctl_timeline *timeline, size_t bin, uint64_t top)
{
    const struct ctl_bin *calls = &timeline->bins[bin];
    const double width = (double)(RIGHT - LEFT) / (double)timeline->count, gap = width > 4 ? 1 : 0;
    char time[KMS_TIME_TEXT];
    uint64_t below = 0;
    if (ctl_bin_calls(calls) == 0) return KMS_OK;
    kms_time_text(ctl_timeline_start(timeline, bin) * 1000000, time);
    KMS_TRY(kms_buf_print(out, "<g><title>%.19sZ", time));
    for (size_t i = 0; i < LAYERS; i++)
        KMS_TRY(kms_buf_print(out, ", %" PRIu64 " %s", calls->calls[layers[i].result], layers[i].name));
    KMS_TRY(kms_buf_print(out, "</title>"));
    for (size_t i = 0; i < LAYERS; i++) {
        uint64_t count = calls->calls[layers[i].result];
        double y = y_of(below + count, top), height = y_of(below, top) - y;
        below += count;
        if (count == 0) continue;
        if (height < 1) height = 1; /* one call is seen */
        KMS_TRY(kms_buf_print(out,
                              "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
                              layers[i].name, LEFT + (double)bin * width, y, width - gap, height));
    }
    return kms_buf_print(out, "</g>\n");
}

static kms_err put_legend(kms_buf *out)
{
    for (size_t i = 0; i < LAYERS; i++) {
        size_t x = RIGHT - 70 * (LAYERS - i);
        KMS_TRY(kms_buf_print(out,
                              "<rect class=\"%s\" x=\"%zu\" y=\"14\" width=\"12\" height=\"12\"/>"
                              "<text x=\"%zu\" y=\"24\">%s</text>\n",
                              layers[i].name, x, x + 17, layers[i].name));
    }
    return KMS_OK;
}

kms_err ctl_chart_svg(const struct ctl_timeline *timeline, const char *subtitle, kms_buf *out)
{
    uint64_t most = 1;
    char length[24];
    for (size_t i = 0; i < timeline->count; i++)
        if (ctl_bin_calls(&timeline->bins[i]) > most) most = ctl_bin_calls(&timeline->bins[i]);
    const uint64_t step = step_of(most);
    ctl_timeline_length(timeline, length);
    KMS_TRY(put_head(out, subtitle, timeline->count > 0 ? length : "interval: none"));
    KMS_TRY(put_legend(out));
    KMS_TRY(put_axes(out, timeline, step));
    for (size_t i = 0; i < timeline->count; i++) KMS_TRY(put_bar(out, timeline, i, TICKS * step));
    return kms_buf_print(out, "</svg>\n");
}
