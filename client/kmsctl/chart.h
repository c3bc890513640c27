/* Calls over time as a picture: for a terminal, and as SVG. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_CHART_H
#define KMS_CLIENT_KMSCTL_CHART_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "client/kmsctl/timeline.h"

/* The terminal and the language of this run know block characters (UTF-8, and no dumb terminal). */
bool ctl_chart_blocks(void);
/* At most so many columns wide (40 at least). blocks: bars of block characters, else of ASCII. An empty
 * timeline draws nothing. */
void ctl_chart_print(const struct ctl_timeline *timeline, size_t columns, bool blocks, FILE *out);
/* A whole SVG document, with colours for light and dark. subtitle is any text, may be empty. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_chart_svg(const struct ctl_timeline *timeline, const char *subtitle, kms_buf *out);

#endif
