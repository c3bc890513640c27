/* All metrics, put together for who asks: GetMetrics, and the file for node_exporter
 * (kmsd/jobs/metrics_file.h). Thread-safe. */
#ifndef KMS_SERVICE_METRICS_H
#define KMS_SERVICE_METRICS_H

#include "kmsd/metrics/metric.h"
#include "kmsd/service/core.h"

/* Every metric as it is now, added to samples. Looks at every secret and lease: not on a thread that all
 * calls wait for. NO_MEMORY. */
KMS_MUST_USE kms_err kms_metrics_collect(const struct kms_core *core, struct kms_metric_samples *samples);

#endif
