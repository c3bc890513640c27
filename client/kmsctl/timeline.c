/* Each length divides the next, so that bins merge without a rest; they begin at multiples of their length,
 * in UTC. */
#include "client/kmsctl/timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
static const uint64_t lengths[] = {
    1,        5,         15,  MINUTE,  5 * MINUTE, 15 * MINUTE, HOUR,
    3 * HOUR, 12 * HOUR, DAY, 7 * DAY, 28 * DAY,   364 * DAY,   3640 * UINT64_C(86400)};
enum { LENGTHS = sizeof lengths / sizeof lengths[0] };

static uint64_t next_length(uint64_t seconds)
{
    for (size_t i = 0; i < LENGTHS; i++)
        if (lengths[i] > seconds) return lengths[i];
    return 2 * seconds;
}

static void join(struct ctl_bin *bin, const struct ctl_bin *other)
{
    for (int i = 0; i < CTL_RESULTS; i++) bin->calls[i] += other->calls[i];
}

static void lengthen(struct ctl_timeline *timeline)
{
    struct ctl_timeline old = *timeline;
    uint64_t seconds = next_length(old.seconds), times = seconds / old.seconds;
    *timeline = (struct ctl_timeline){.seconds = seconds, .first = old.first / times};
    for (size_t i = 0; i < old.count; i++) {
        size_t at = (size_t)((old.first + i) / times - timeline->first);
        join(&timeline->bins[at], &old.bins[i]);
        timeline->count = at + 1;
    }
}

/* How many bins it takes from the first to the last when `bin` is among them. */
static uint64_t span(const struct ctl_timeline *timeline, uint64_t bin)
{
    uint64_t first = bin < timeline->first ? bin : timeline->first,
             last = timeline->first + timeline->count - 1;
    return (bin > last ? bin : last) - first + 1;
}

static void make_room(struct ctl_timeline *timeline, uint64_t bin)
{
    if (bin < timeline->first) {
        size_t shift = (size_t)(timeline->first - bin);
        memmove(timeline->bins + shift, timeline->bins, timeline->count * sizeof timeline->bins[0]);
        memset(timeline->bins, 0, shift * sizeof timeline->bins[0]);
        timeline->first = bin;
        timeline->count += shift;
    }
    if (bin - timeline->first >= timeline->count) timeline->count = (size_t)(bin - timeline->first) + 1;
}

void ctl_timeline_add(struct ctl_timeline *timeline, uint64_t second, enum ctl_result result, uint64_t calls)
{
    if (timeline->seconds == 0) *timeline = (struct ctl_timeline){.seconds = 1, .first = second, .count = 1};
    while (span(timeline, second / timeline->seconds) > CTL_TIMELINE_BINS) lengthen(timeline);
    uint64_t bin = second / timeline->seconds;
    make_room(timeline, bin);
    timeline->bins[bin - timeline->first].calls[result] += calls;
}

void ctl_timeline_fit(struct ctl_timeline *timeline, size_t bins)
{
    while (timeline->count > bins && timeline->count > 2) lengthen(timeline); /* two may stay two for ever */
}

uint64_t ctl_timeline_start(const struct ctl_timeline *timeline, size_t bin)
{
    return (timeline->first + bin) * timeline->seconds;
}

uint64_t ctl_bin_calls(const struct ctl_bin *bin)
{
    uint64_t calls = 0;
    for (int i = 0; i < CTL_RESULTS; i++) calls += bin->calls[i];
    return calls;
}

void ctl_timeline_length(const struct ctl_timeline *timeline, char text[24])
{
    uint64_t seconds = timeline->seconds;
    if (seconds % DAY == 0)
        snprintf(text, 24, "%" PRIu64 " d", seconds / DAY);
    else if (seconds % HOUR == 0)
        snprintf(text, 24, "%" PRIu64 " h", seconds / HOUR);
    else if (seconds % MINUTE == 0)
        snprintf(text, 24, "%" PRIu64 " min", seconds / MINUTE);
    else
        snprintf(text, 24, "%" PRIu64 " s", seconds);
}
