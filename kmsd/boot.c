/* The stages of the daemon, in order. */
#include "kmsd/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "kmsd/service/batch.h"
#include "kmsd/service/heads.h"

unsigned kms_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (unsigned)cores : 1;
}

kms_err kms_boot_lock(struct kms_boot *boot, struct kms_why *why)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/lock", boot->conf->state_dir);
    boot->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (boot->lock_fd < 0) {
        kms_why_set(why, "%s: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    if (flock(boot->lock_fd, LOCK_EX | LOCK_NB) == 0) return KMS_OK;
    kms_why_set(why, "%s is held by a running kmsd: stop it first, or give this one a state_dir of its own",
                path);
    kms_fd_drop(&boot->lock_fd);
    return KMS_FAIL(STATE_IN_USE);
}

static void unlock(struct kms_boot *boot)
{
    kms_fd_drop(&boot->lock_fd);
}

static void warn(struct kms_boot *boot, const char *warning)
{
    if (boot->core.warning_count < KMS_CORE_WARNINGS)
        boot->core.warnings[boot->core.warning_count++] = warning;
}

static kms_err core_start(struct kms_boot *boot, struct kms_why *why)
{
    const struct kmsd_conf *conf = boot->conf;
    struct kms_core *core = &boot->core;
    kms_locked_limit(conf->limits_locked_memory_bytes);
    pthread_mutex_init(&core->service_policy_lock, NULL);
    pthread_rwlock_init(&core->doomed_root_lock, NULL);
    core->started_us = kms_now_us();
    core->import_window_us = (uint64_t)conf->keys_import_window_ms * 1000;
    core->approvals_lifetime_us = (uint64_t)conf->approvals_lifetime_ms * 1000;
    core->approvals_per_key = conf->approvals_per_key;
    core->instance = conf->audit_instance;
    core->audit_dir = conf->audit_dir;
    core->audit_page_bytes = conf->audit_page_bytes;
    core->audit_scan_bytes = conf->audit_page_scan_bytes;
    core->audit_keep_us = conf->audit_keep_age_days * KMS_DAY_US;
    core->audit_keep_bytes = conf->audit_keep_bytes;
    core->grants_per_key = conf->limits_grants_per_key;
    core->used_lately_us = conf->keys_used_lately_days * KMS_DAY_US;
    core->key_budget = UINT64_C(1) << conf->keys_encryptions_log2;
    core->batch_items = conf->limits_batch_items;
    core->batch_bytes = conf->limits_batch_bytes;
    core->separation_warn = conf->policy_separation == KMSD_SEPARATION_WARN;
    if (core->separation_warn)
        warn(boot, "policy.separation = warn: one principal may administer and use the same key");
    if (conf->authn_allow_cn) warn(boot, "authn.allow_cn = true: a common name is enough to be a principal");
    if (conf->audit_durability == KMSD_DURABILITY_OS)
        warn(boot,
             "audit.durability = os: a power failure may take away records of calls that were answered");
    if (conf->listen_sops_tcp_count > 0)
        warn(boot, "listen.sops_tcp: whoever runs on this machine can call as its principal, without TLS");
    if (geteuid() == 0) warn(boot, "kmsd runs as root: set process.user");
    if (conf->hsm_worker_user[0] == '\0')
        warn(boot, "hsm.worker_user is not set: kms-hsm runs as kmsd's own user, who can read the PIN");
    KMS_TRY(kms_random(core->request_prefix, sizeof core->request_prefix));
    KMS_TRY(kms_keyring_new(&core->keys));
    KMS_TRY(kms_ledger_new(&core->ledger));
    KMS_TRY(kms_rotators_new(conf, boot->runner, &core->rotators, why));
    KMS_TRY(kms_arn_prefix_make(conf->arn_partition, "kms", conf->arn_region, conf->arn_account, &core->arn,
                                why));
    KMS_TRY(kms_boot_leases(boot, why));
    return kms_boot_secrets(boot, why);
}

static void core_stop(struct kms_boot *boot)
{
    kms_secret_book_free(boot->core.secrets);
    kms_lease_book_free(boot->core.leases);
    kms_keyring_free(boot->core.keys);
    kms_ledger_free(boot->core.ledger);
    kms_rotators_free(boot->core.rotators);
    kms_core_set_service_policy(&boot->core, NULL, "");
}

static kms_err authn_start(struct kms_boot *boot, struct kms_why *why)
{
    const struct kms_authn_options options = {
        .allow_cn = boot->conf->authn_allow_cn,
        .deny_list = boot->conf->authn_deny_list,
        .rate_per_principal = boot->conf->limits_rate_per_principal,
        .rate_burst = boot->conf->limits_rate_burst,
        .in_flight_per_principal = boot->conf->limits_in_flight_per_principal,
        .rsa_keys_per_principal = boot->conf->limits_rsa_keys_per_principal,
        .refused_per_second = boot->conf->limits_refused_per_second,
    };
    return kms_authn_new(&options, &boot->core.authn, why);
}

static void authn_stop(struct kms_boot *boot)
{
    kms_authn_free(boot->core.authn);
}

static kms_err audit_start(struct kms_boot *boot, struct kms_why *why)
{
    const struct kms_audit_options options = {.dir = boot->conf->audit_dir,
                                              .instance = boot->conf->audit_instance,
                                              .segment_bytes = boot->conf->audit_segment_bytes,
                                              .segment_age_us =
                                                  boot->conf->audit_segment_age_ms * UINT64_C(1000),
                                              .warn_free_bytes = boot->conf->audit_warn_free_bytes,
                                              .refuse_free_bytes = boot->conf->audit_refuse_free_bytes,
                                              .compress = boot->conf->audit_compress,
                                              .cached = boot->conf->audit_durability == KMSD_DURABILITY_OS};
    return kms_audit_open(&options, &boot->core.audit, why);
}

static void audit_stop(struct kms_boot *boot)
{
    kms_audit_close(boot->core.audit);
}

void kms_boot_hsm_options(const struct kms_boot *boot, struct kms_hsm_options *ret_options)
{
    const struct kmsd_conf *conf = boot->conf;
    *ret_options = (struct kms_hsm_options){
        .worker_path = conf->hsm_worker_path,
        .uri = conf->hsm_uri,
        .state_dir = conf->state_dir,
        .worker_user = conf->hsm_worker_user,
        .workers = conf->hsm_workers,
        .lanes = boot->rpc_threads + conf->limits_admin_threads + 1, /* the finish thread's */
        .deadline_ms = conf->hsm_deadline_ms,
        .keygen_deadline_ms = conf->hsm_keygen_deadline_ms,
        .quarantine_ms = conf->hsm_quarantine_ms,
        .start_timeout_ms = conf->hsm_start_timeout_ms,
        .cached_keys = conf->hsm_cached_keys,
    };
}

static kms_err hsm_start(struct kms_boot *boot, struct kms_why *why)
{
    struct kms_hsm_options options;
    kms_boot_hsm_options(boot, &options);
    return kms_hsm_open(boot->spawner, &options, &boot->core.hsm, why);
}

static void hsm_stop(struct kms_boot *boot)
{
    kms_hsm_close(boot->core.hsm);
}

static kms_err pipeline_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    const struct kms_pipeline_options options = {.rpc_threads = boot->rpc_threads,
                                                 .admin_threads = boot->conf->limits_admin_threads,
                                                 .admin_queue = boot->conf->limits_admin_queue,
                                                 .streams = boot->conf->limits_audit_streams};
    return kms_pipeline_start(&options, &boot->core, &boot->pipeline);
}

static void pipeline_stop(struct kms_boot *boot)
{
    kms_pipeline_stop(boot->pipeline);
    kms_heads_free(&boot->core);
    kms_boot_store_stop(boot); /* an admin thread may have been refilling a budget until now */
}

static kms_err heads_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    const struct kms_heads_options options = {.records = boot->conf->audit_head_records,
                                              .interval_ms = boot->conf->audit_head_interval_ms,
                                              .anchor_file = boot->conf->audit_anchor_file,
                                              .anchor_syslog = boot->conf->audit_anchor_syslog};
    return kms_heads_start(&options, &boot->core, boot->pipeline);
}

static void heads_stop(struct kms_boot *boot)
{
    kms_heads_stop(&boot->core);
}

static kms_err policy_start(struct kms_boot *boot, struct kms_why *why)
{
    return kms_boot_service_policy(boot, why);
}

/* Of stages whose things end with another one: pipeline_stop closes the keystore after its last user,
 * core_stop lets the policy go. */
static void nothing_to_stop(struct kms_boot *boot)
{
    (void)boot;
}

/* Enough for the largest batch; of much locked memory a quarter: single calls and keys need the rest. */
static uint64_t batch_memory(const struct kmsd_conf *conf)
{
    const uint64_t least = 5 * 1024 * 1024, most = 64 * 1024 * 1024;
    struct rlimit limit;
    uint64_t locked = conf->limits_locked_memory_bytes;
    if (conf->limits_batch_memory_bytes != 0) return conf->limits_batch_memory_bytes;
    if (locked == 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        locked = limit.rlim_cur;
    if (locked == 0 || locked / 4 > most) return most;
    return locked / 4 > least ? locked / 4 : least;
}

static kms_err rpc_start(struct kms_boot *boot, struct kms_why *why)
{
    const struct kmsd_conf *conf = boot->conf;
    enum { ARENA_BYTES_LEAST = 1024 * 1024 };
    const uint64_t message = conf->limits_message_bytes;
    const struct kms_rpc_options options = {
        .address = conf->listen_tls,
        .certificate = conf->tls_cert,
        .key = conf->tls_key,
        .client_ca = conf->tls_client_ca,
        .sockets = boot->sockets,
        .socket_count = boot->socket_count,
        .threads = boot->rpc_threads,
        .calls = conf->limits_calls,
        .connections = conf->limits_connections,
        .streams_per_connection = conf->limits_streams_per_connection,
        .health_watches = conf->limits_health_watches,
        .reflection = conf->listen_reflection,
        .reflection_streams = conf->limits_reflection_streams,
        .stream_age_ms = conf->limits_stream_age_ms,
        .keepalive_ms = conf->rpc_keepalive_ms,
        .keepalive_timeout_ms = conf->rpc_keepalive_timeout_ms,
        .message_bytes = (uint32_t)message,
        .batch_message_bytes = (uint32_t)conf->limits_batch_bytes + KMS_BATCH_OVERHEAD_BYTES,
        .batches = conf->limits_batches,
        .batch_memory_bytes = batch_memory(conf),
        .grpc_memory_bytes = conf->limits_grpc_memory_bytes,
        .arena_bytes = message * 4 > ARENA_BYTES_LEAST ? (uint32_t)message * 4 : ARENA_BYTES_LEAST,
        .drain_ms = conf->rpc_drain_ms,
    };
    const struct kms_rpc_parts parts = {.methods = kms_methods,
                                        .method_count = kms_method_count,
                                        .dialects = kms_dialects,
                                        .dialect_count = kms_dialect_count,
                                        .authn = boot->core.authn,
                                        .pipeline = boot->pipeline,
                                        .well = kms_boot_well,
                                        .well_self = boot};
    const struct kms_audit_pair pairs[] = {{kms_bytes_text("version"), kms_bytes_text(KMS_VERSION)},
                                           {kms_bytes_text("listen"), kms_bytes_text(conf->listen_tls)}};
    KMS_TRY(kms_boot_note(boot, "start", pairs, 2));
    return kms_rpc_start(&options, &parts, &boot->rpc, why);
}

static void rpc_stop(struct kms_boot *boot)
{
    uint64_t until_us = kms_monotonic_us() + boot->conf->rpc_drain_ms * UINT64_C(1000);
    kms_rpc_drain_and_stop(boot->rpc);
    kms_jobs_store_usage(boot->pipeline, &boot->core, until_us);
    kms_ignore(kms_boot_note(boot, "stop", NULL, 0)); /* the log may be what failed */
    kms_rpc_free(boot->rpc);
}

static kms_err jobs_start(struct kms_boot *boot, struct kms_why *why)
{
    (void)why;
    const struct kms_jobs_options options = {.interval_ms = boot->conf->jobs_interval_ms,
                                             .clock_tolerance_ms = boot->conf->jobs_clock_tolerance_ms,
                                             .clock_hold_ms = boot->conf->jobs_clock_hold_ms,
                                             .usage_checkpoint_ms = boot->conf->jobs_usage_checkpoint_ms};
    KMS_TRY(kms_jobs_new(&options, boot->pipeline, &boot->core, &boot->jobs));
    return kms_jobs_start(boot->jobs);
}

static void jobs_stop(struct kms_boot *boot)
{
    kms_jobs_free(boot->jobs);
    boot->jobs = NULL;
}

static const struct stage {
    const char *name;
    kms_err (*start)(struct kms_boot *boot, struct kms_why *why); /* cleans up after itself when it fails */
    void (*stop)(struct kms_boot *boot);
} stages[] = {
    {"state", kms_boot_lock, unlock},
    {"core", core_start, core_stop},
    {"doors", kms_boot_doors_start, kms_boot_doors_stop},
    {"authn", authn_start, authn_stop},
    {"audit", audit_start, audit_stop},
    {"ship", kms_boot_ship_start, kms_boot_ship_stop},
    {"hsm", hsm_start, hsm_stop},
    {"pipeline", pipeline_start, pipeline_stop},
    {"keystore", kms_boot_store_start, nothing_to_stop},
    {"policy", policy_start, nothing_to_stop},
    {"heads", heads_start, heads_stop},
    {"rpc", rpc_start, rpc_stop},
    {"jobs", jobs_start, jobs_stop},
    {"secrets", kms_boot_secret_jobs_start, kms_boot_secret_jobs_stop},
    {"leases", kms_boot_lease_jobs_start, kms_boot_lease_jobs_stop},
    {"metrics", kms_boot_metrics_start, kms_boot_metrics_stop},
};
enum { STAGES = sizeof stages / sizeof stages[0] };

static void stop_before(struct kms_boot *boot, size_t stage)
{
    while (stage > 0) stages[--stage].stop(boot);
}

kms_err kms_boot_start(struct kms_boot *boot, struct kms_why *why)
{
    unsigned cores = kms_cores() < KMS_RPC_THREADS ? kms_cores() : KMS_RPC_THREADS;
    boot->rpc_threads = boot->conf->rpc_threads != 0 ? boot->conf->rpc_threads : cores;
    for (size_t i = 0; i < STAGES; i++) {
        kms_err err = stages[i].start(boot, why);
        if (!kms_failed(err)) {
            kms_log(KMS_LOG_DEBUG, "boot", "stage=%s", stages[i].name);
            continue;
        }
        kms_log(KMS_LOG_ERROR, "boot", "stage=%s err=%s %s: %s", stages[i].name, kms_err_reason(err),
                kms_err_text(err), why->text);
        stop_before(boot, i);
        return err;
    }
    return KMS_OK;
}

void kms_boot_stop(struct kms_boot *boot)
{
    /* Calls have as long for their databases as rpc lets them have. */
    atomic_store(&boot->core.lease_calls_until_us,
                 kms_monotonic_us() + boot->conf->rpc_drain_ms * UINT64_C(1000));
    stop_before(boot, STAGES);
}

static void log_reload(const char *what, kms_err err, const struct kms_why *why)
{
    if (kms_failed(err))
        kms_log(KMS_LOG_ERROR, "reload", "what=%s err=%s the old one stays: %s", what, kms_err_reason(err),
                why->text);
    else
        kms_log(KMS_LOG_INFO, "reload", "what=%s", what);
}

void kms_boot_reload(struct kms_boot *boot)
{
    struct kms_why why = {{0}};
    kms_audit_ask_new_file(boot->core.audit);
    log_reload("deny-list", kms_authn_reload(boot->core.authn, &why), &why);
    log_reload("service-policy", kms_boot_service_policy(boot, &why), &why);
    if (boot->conf->listen_tls[0] != '\0') log_reload("certificates", kms_rpc_reload(boot->rpc, &why), &why);
}
