/* The stage of the file of metrics. */
#include "kmsd/boot.h"

kms_err kms_boot_metrics_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    const struct kmsd_conf *conf = boot->conf;
    if (conf->metrics_file[0] == '\0') return KMS_OK;
    return kms_metrics_file_start(conf->metrics_file, conf->metrics_interval_ms, &boot->core,
                                  &boot->metrics_file);
}

void kms_boot_metrics_stop(struct kms_boot *boot)
{
    kms_metrics_file_stop(boot->metrics_file);
    boot->metrics_file = NULL;
}
