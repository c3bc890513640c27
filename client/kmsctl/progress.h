/* How far a long command is: one line on standard error that is drawn over and over, and only when that is a
 * terminal. Not thread-safe: one bar at a time. */
#ifndef KMS_CLIENT_KMSCTL_PROGRESS_H
#define KMS_CLIENT_KMSCTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl_progress {
    const char *unit; /* what is counted, in the plural; NULL: bytes */
    uint64_t drawn_us;
    bool wanted, drawn;
};

/* Draws nothing yet. unit is borrowed. */
void ctl_progress_start(struct ctl_progress *progress, const char *unit);
/* May be called for every single step: it draws at most ten times a second. Total CTL_PROGRESS_UNKNOWN: no
 * bar, only how much is done. */
#define CTL_PROGRESS_UNKNOWN UINT64_MAX
void ctl_progress_show(struct ctl_progress *progress, uint64_t done, uint64_t total);
/* Takes the line away. Also before anything else is written to the terminal; the next _show draws it again.
 */
void ctl_progress_clear(struct ctl_progress *progress);

/* The line: a bar, the part in per cent, the numbers. Never longer than columns, so that it stays one line.
 * For _show and its test. */
enum { CTL_PROGRESS_BYTES = 160 };
void ctl_progress_line(const char *unit, uint64_t done, uint64_t total, size_t columns,
                       char line[CTL_PROGRESS_BYTES]);

#endif
