/* What was counted, and what can be looked up. */
#include "kmsd/service/metrics.h"

#include "kmsd/metrics/station.h"
#include "kmsd/service/lease.h"
#include "kmsd/service/method.h"
#include "kmsd/service/secret_acts.h"
#include "kmsd/service/tally.h"
#include "kmsd/service/tell.h"

/* ---- what was counted ---- */

/* A name has a line for success, and for each failure that happened. */
static kms_err put_outcome(struct kms_metric_samples *samples, enum kms_metric metric, const char *name,
                           kms_err outcome, uint64_t times)
{
    if (times == 0 && kms_failed(outcome)) return KMS_OK;
    return kms_metric_put(samples, metric, name, kms_err_reason(outcome), times);
}

static kms_err put_calls(struct kms_metric_samples *samples)
{
    for (size_t i = 0; i < kms_method_count; i++)
        for (enum kms_code code = KMS_E_OK; code < KMS_E_COUNT; code++)
            KMS_TRY(put_outcome(samples, KMS_METRIC_CALLS, kms_methods[i].rpc, (kms_err){code},
                                kms_tally_of_calls(&kms_methods[i], (kms_err){code})));
    return KMS_OK;
}

static kms_err put_acts(struct kms_metric_samples *samples)
{
    for (enum kms_internal what = 0; what < KMS_INTERNAL_COUNT; what++)
        for (enum kms_code code = KMS_E_OK; code < KMS_E_COUNT; code++)
            KMS_TRY(put_outcome(samples, KMS_METRIC_ACTS, kms_internal_name(what), (kms_err){code},
                                kms_tally_of_acts(what, (kms_err){code})));
    return KMS_OK;
}

static kms_err put_stations(struct kms_metric_samples *samples)
{
    for (enum kms_station station = 0; station < KMS_STATIONS; station++) {
        struct kms_times_told told;
        kms_station_tell(station, &told);
        KMS_TRY(kms_metric_put_times(samples, KMS_METRIC_STATION_SECONDS, kms_station_name(station), &told));
    }
    return KMS_OK;
}

static kms_err put_counters(struct kms_metric_samples *samples)
{
    for (enum kms_metric metric = 0; metric < KMS_METRICS; metric++) {
        const struct kms_metric_row *row = kms_metric_row(metric);
        if (row->type == KMS_METRIC_COUNTER && row->labels[0] == NULL)
            KMS_TRY(kms_metric_put(samples, metric, NULL, NULL, kms_metric_count(metric)));
    }
    return KMS_OK;
}

/* ---- what is looked up ---- */

static kms_err put(struct kms_metric_samples *samples, enum kms_metric metric, uint64_t value)
{
    return kms_metric_put(samples, metric, NULL, NULL, value);
}

static kms_err put_hsm(const struct kms_core *core, struct kms_metric_samples *samples)
{
    struct kms_hsm_status status;
    kms_hsm_status(core->hsm, &status);
    KMS_TRY(put(samples, KMS_METRIC_HSM_WORKERS_HEALTHY, status.workers_healthy));
    KMS_TRY(put(samples, KMS_METRIC_HSM_WORKERS_CONFIGURED, status.workers_configured));
    return put(samples, KMS_METRIC_HSM_JOBS_WAITING, status.jobs_waiting);
}

static kms_err put_audit(const struct kms_core *core, struct kms_metric_samples *samples)
{
    struct kms_why troubles[KMS_TOLD_TROUBLES];
    kms_tell_troubles(core, troubles);
    for (size_t i = 0; i < KMS_TOLD_TROUBLES; i++)
        KMS_TRY(kms_metric_put(samples, KMS_METRIC_AUDIT_TROUBLE, kms_tell_trouble_name(i), NULL,
                               troubles[i].text[0] != '\0'));
    return KMS_OK;
}

static bool rotation_fails(const void *user, const struct kms_secret_entry *entry)
{
    (void)user;
    return kms_secret_rotation_fails(entry);
}

static bool has_state(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)retry_us;
    return lease->stored->state == *(const uint32_t *)user;
}

/* Only what is ending waits, and only after a failure: its own, or that of its database. */
static bool was_tried_in_vain(const void *user, const struct kms_lease *lease, uint64_t retry_us)
{
    (void)user, (void)lease;
    return retry_us > 0;
}

static kms_err put_books(const struct kms_core *core, struct kms_metric_samples *samples)
{
    static const struct {
        uint32_t state;
        const char *name;
    } states[] = {
        {KMS_LEASE_CREATING, "creating"}, {KMS_LEASE_ACTIVE, "active"}, {KMS_LEASE_REVOKING, "revoking"}};
    uint64_t keys, aliases;
    kms_keyring_counts(core->keys, &keys, &aliases);
    KMS_TRY(put(samples, KMS_METRIC_KEYS, keys));
    KMS_TRY(put(samples, KMS_METRIC_SECRETS, kms_secret_book_count(core->secrets)));
    KMS_TRY(put(samples, KMS_METRIC_ROTATION_FAILING,
                kms_secret_book_count_of(core->secrets, rotation_fails, NULL)));
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        KMS_TRY(kms_metric_put(samples, KMS_METRIC_LEASES, states[i].name, NULL,
                               kms_lease_book_count(core->leases, has_state, &states[i].state)));
    return put(samples, KMS_METRIC_REVOCATION_FAILING,
               kms_lease_book_count(core->leases, was_tried_in_vain, NULL));
}

kms_err kms_metrics_collect(const struct kms_core *core, struct kms_metric_samples *samples)
{
    KMS_TRY(kms_metric_put(samples, KMS_METRIC_BUILD_INFO, KMS_VERSION, NULL, 1));
    KMS_TRY(put(samples, KMS_METRIC_START_TIME, core->started_us / 1000000));
    KMS_TRY(put(samples, KMS_METRIC_CLOCK_DOUBTED, atomic_load(&core->clock_doubted)));
    KMS_TRY(put_calls(samples));
    KMS_TRY(put_acts(samples));
    KMS_TRY(put_stations(samples));
    KMS_TRY(put_counters(samples));
    KMS_TRY(put_hsm(core, samples));
    KMS_TRY(put_audit(core, samples));
    return put_books(core, samples);
}
