/* What may follow on a command line, from the tables. Thread-safe: no state. */
#ifndef KMS_CLIENT_KMSCTL_COMPLETION_H
#define KMS_CLIENT_KMSCTL_COMPLETION_H

#include "client/kmsctl/ctl.h"

/* words: what stands behind "kmsctl", the last one being typed (perhaps empty). Appends the candidates that
 * start with it to out, one a line; none: file names. NO_MEMORY. */
KMS_MUST_USE kms_err ctl_complete(const struct ctl_texts *words, kms_buf *out);

#endif
