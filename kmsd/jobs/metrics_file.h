/*
 * Writes all metrics to a file again and again, for node_exporter's textfile collector
 * (https://github.com/prometheus/node_exporter#textfile-collector). One thread, so that a disk that hangs
 * delays no call. A file that cannot be written is told in the log, once for each change.
 */
#ifndef KMS_JOBS_METRICS_FILE_H
#define KMS_JOBS_METRICS_FILE_H

#include "kmsd/service/core.h"

typedef struct kms_metrics_file kms_metrics_file;

/* path: borrowed until stop. NO_MEMORY. */
KMS_MUST_USE kms_err kms_metrics_file_start(const char *path, uint32_t interval_ms,
                                            const struct kms_core *core, kms_metrics_file **ret_file);
/* Takes the file away: what it says would not be so any more. NULL is a no-op. */
void kms_metrics_file_stop(kms_metrics_file *file);

#endif
