/* What leases need of the configuration, and their threads. */
#include "kmsd/boot.h"

kms_err kms_boot_leases(struct kms_boot *boot, struct kms_why *why)
{
    const struct kmsd_conf *conf = boot->conf;
    struct kms_core *core = &boot->core;
    (void)why;
    core->roles_most = conf->limits_database_roles;
    core->leases_most = conf->limits_leases;
    core->leases_per_principal = conf->limits_leases_per_principal;
    core->ttl_least_us = (uint64_t)conf->leases_min_ttl_ms * 1000;
    core->ttl_most_us = (uint64_t)conf->leases_max_ttl_ms * 1000;
    core->lease_backoff_us = (uint64_t)conf->leases_backoff_ms * 1000;
    core->lease_turn_us = (uint64_t)conf->leases_turn_ms * 1000;
    core->sweep_interval_us = (uint64_t)conf->leases_sweep_interval_ms * 1000;
    if (sem_init(&core->leases_wake, 0, 0) != 0) return KMS_FAIL(INTERNAL);
    return kms_lease_book_new(&core->leases);
}

kms_err kms_boot_lease_jobs_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    return kms_lease_jobs_start(boot->conf->leases_threads, boot->conf->jobs_interval_ms, boot->pipeline,
                                &boot->core, &boot->lease_jobs);
}

void kms_boot_lease_jobs_stop(struct kms_boot *boot)
{
    kms_lease_jobs_stop(boot->lease_jobs);
    boot->lease_jobs = NULL;
}
