/* What stored secrets need of the configuration, and their threads. */
#include <stdio.h>

#include "kmsd/boot.h"

kms_err kms_boot_secrets(struct kms_boot *boot, struct kms_why *why)
{
    const struct kmsd_conf *conf = boot->conf;
    struct kms_core *core = &boot->core;
    core->default_secret_key = conf->secrets_default_key;
    core->secrets_most = conf->limits_secrets;
    core->secret_versions = conf->limits_secret_versions;
    core->secret_bytes = conf->limits_secret_memory_bytes;
    snprintf(core->via_secrets, sizeof core->via_secrets, "secretsmanager.%s.amazonaws.com",
             conf->arn_region);
    core->rotation_backoff_us = (uint64_t)conf->secrets_rotation_backoff_ms * 1000;
    core->rotation_attempts = conf->secrets_rotation_attempts;
    if (sem_init(&core->secrets_wake, 0, 0) != 0) return KMS_FAIL(INTERNAL);
    KMS_TRY(kms_secret_book_new(&core->secrets));
    return kms_arn_prefix_make(conf->arn_partition, "secretsmanager", conf->arn_region, conf->arn_account,
                               &core->secret_arn, why);
}

kms_err kms_boot_secret_jobs_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    return kms_secret_jobs_start(boot->conf->secrets_rotation_threads, boot->conf->jobs_interval_ms,
                                 boot->pipeline, &boot->core, &boot->secret_jobs);
}

/* A step that was cut short is done again at the next start, as after a crash. */
void kms_boot_secret_jobs_stop(struct kms_boot *boot)
{
    kms_runner_end(boot->runner);
    kms_secret_jobs_stop(boot->secret_jobs);
    boot->secret_jobs = NULL;
}
