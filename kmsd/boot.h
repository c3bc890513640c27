/* Start and stop of the daemon as an ordered table: a failed row stops the rows before it, in reverse. */
#ifndef KMS_KMSD_BOOT_H
#define KMS_KMSD_BOOT_H

#include "hsm/hsm.h"
#include "kmsd/conf/conf.h"
#include "kmsd/jobs/jobs.h"
#include "kmsd/jobs/lease_jobs.h"
#include "kmsd/jobs/metrics_file.h"
#include "kmsd/jobs/secret_jobs.h"
#include "kmsd/rotators/runner.h"
#include "kmsd/rpc/rpc.h"
#include "kmsd/service/core.h"
#include "kmsd/service/pipeline.h"

struct kms_boot {
    const struct kmsd_conf *conf; /* borrowed */
    kms_spawner *spawner;         /* borrowed */
    kms_runner *runner;           /* borrowed; NULL: no rotator is a program */
    const char
        *accept_rollback; /* the operator's reason for serving an older or other keystore; NULL: refuse */

    unsigned rpc_threads;
    int lock_fd; /* exclusive hold of the state directory */
    struct kms_core core;
    kms_pipeline *pipeline;
    kms_rpc *rpc;
    kms_jobs *jobs;
    kms_secret_jobs *secret_jobs;
    kms_lease_jobs *lease_jobs;
    kms_metrics_file *metrics_file;
    struct kms_rpc_socket *sockets;
    size_t socket_count;
    struct kms_unix_mapping *mappings;
    struct kms_sops_key *sops_keys;
    struct kms_pod_principal *pods;
    struct kms_listening *listening;
};

/* Runs every stage; on failure why says what to do, and everything is stopped again. */
KMS_MUST_USE kms_err kms_boot_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_stop(struct kms_boot *boot);
/* SIGHUP: certificates, deny list, service policy; what cannot be read keeps its old value and is logged. */
void kms_boot_reload(struct kms_boot *boot);

/* Both are used by `kmsd init` too. */
void kms_boot_hsm_options(const struct kms_boot *boot, struct kms_hsm_options *ret_options);
KMS_MUST_USE kms_err kms_boot_lock(struct kms_boot *boot, struct kms_why *why);
unsigned kms_cores(void);

/* boot_store.c: the keystore stage. */
KMS_MUST_USE kms_err kms_boot_store_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_store_stop(struct kms_boot *boot);

/* boot_doors.c: the stage of what connections come in by, and what is spoken there. */
/* Names of keys, which the reader of the file cannot judge. CONFIG_INVALID with the option. */
KMS_MUST_USE kms_err kms_boot_doors_check(const struct kmsd_conf *conf, struct kms_why *why);
KMS_MUST_USE kms_err kms_boot_doors_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_doors_stop(struct kms_boot *boot);

/* boot_health.c: which parts of the service are well, as enum kms_rpc_part; boot is a struct kms_boot. */
unsigned kms_boot_well(void *boot);

/* boot_ship.c: the stage of sinks beside the log. */
KMS_MUST_USE kms_err kms_boot_ship_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_ship_stop(struct kms_boot *boot);

/* boot_secrets.c: what the core knows of secrets, and the stage of their threads. */
KMS_MUST_USE kms_err kms_boot_secrets(struct kms_boot *boot, struct kms_why *why);
KMS_MUST_USE kms_err kms_boot_secret_jobs_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_secret_jobs_stop(struct kms_boot *boot);
/* boot_leases.c: the same of leases. */
KMS_MUST_USE kms_err kms_boot_leases(struct kms_boot *boot, struct kms_why *why);
KMS_MUST_USE kms_err kms_boot_lease_jobs_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_lease_jobs_stop(struct kms_boot *boot);
/* boot_metrics.c: the stage of the file of metrics. */
KMS_MUST_USE kms_err kms_boot_metrics_start(struct kms_boot *boot, struct kms_why *why);
void kms_boot_metrics_stop(struct kms_boot *boot);

/* boot_policy.c: the service policy, read from its file; an audit record says which one is in force. */
KMS_MUST_USE kms_err kms_boot_service_policy(struct kms_boot *boot, struct kms_why *why);

/* A record of the service itself: "start", "stop", "service-policy", ... */
KMS_MUST_USE kms_err kms_boot_note(struct kms_boot *boot, const char *what,
                                   const struct kms_audit_pair *pairs, size_t count);

#endif
