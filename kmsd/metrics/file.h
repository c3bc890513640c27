/* A file that others read while it is written anew: they see the old text or the new one. Thread-safe. */
#ifndef KMS_METRICS_FILE_H
#define KMS_METRICS_FILE_H

#include "base/bytes.h"

/* Everybody may read it (mode 0644, whatever the umask). Written beside as PATH.new, so path must have
 * room for that; not synced: after a power failure there may be no file, or an empty one, until the next
 * write. IO: why names the file. */
KMS_MUST_USE kms_err kms_metric_file_write(const char *path, struct kms_bytes text, struct kms_why *why);

#endif
