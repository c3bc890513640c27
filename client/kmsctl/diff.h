/* What changed between two texts, line by line. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_DIFF_H
#define KMS_CLIENT_KMSCTL_DIFF_H

#include <stdio.h>

#include "base/bytes.h"

/* Every line of both, once: "- " is only in from, "+ " only in to, "  " in both; of longer stretches in both
 * only the ends. Control characters become '?': nothing here can move the cursor. NO_MEMORY: nothing was
 * written. */
KMS_MUST_USE kms_err ctl_diff(const char *from, const char *to, FILE *out);

#endif
