/*
 * The configuration of kmsd: kmsd.yaml checked as a whole. options.def lists every option; a member is called
 * as its option, with its unit. Read-only after load, so any thread may use it.
 */
#ifndef KMS_KMSD_CONF_CONF_H
#define KMS_KMSD_CONF_CONF_H

#include "base/conf.h"
#include "base/log.h"

enum kmsd_protocol { KMSD_PROTOCOL_KMS, KMSD_PROTOCOL_SOPS, KMSD_PROTOCOL_KUBERNETES, KMSD_PROTOCOL_CSI };
enum kmsd_sops_type {
    KMSD_SOPS_KMS,
    KMSD_SOPS_PGP,
    KMSD_SOPS_GCP_KMS,
    KMSD_SOPS_AZURE_KV,
    KMSD_SOPS_HC_VAULT,
    KMSD_SOPS_AGE,
    KMSD_SOPS_HCKMS,
};
enum kmsd_separation { KMSD_SEPARATION_ENFORCE, KMSD_SEPARATION_WARN };
enum kmsd_durability { KMSD_DURABILITY_DISK, KMSD_DURABILITY_OS };
enum kmsd_database_engine { KMSD_ENGINE_POSTGRESQL };
enum kmsd_sslmode { KMSD_SSL_VERIFY_FULL, KMSD_SSL_VERIFY_CA, KMSD_SSL_REQUIRE, KMSD_SSL_DISABLE };
enum kmsd_rotator_type {
    KMSD_ROTATOR_RANDOM,
    KMSD_ROTATOR_POSTGRESQL,
    KMSD_ROTATOR_POSTGRESQL_ALTERNATING,
    KMSD_ROTATOR_PROGRAM,
};

#define KMS_CONF_DEF "kmsd/conf/options.def"
#include "base/conf_struct.def"
typedef struct kmsd_conf kmsd_conf;

enum { KMSD_UID_OVERFLOW = 65534 }; /* what the kernel shows for a user id that has no mapping: anybody */

/* Errors: IO; CONFIG_INVALID, with file, line and option in why, also for options that do not fit together.
 */
KMS_MUST_USE kms_err kmsd_conf_load(const char *path, struct kmsd_conf **ret_conf, struct kms_why *why);
void kmsd_conf_free(struct kmsd_conf *conf); /* NULL is a no-op */
void kmsd_conf_drop(struct kmsd_conf **conf);

/* doors.c: what listens, and what is spoken there. */
KMS_MUST_USE kms_err kmsd_conf_check_doors(const struct kmsd_conf *conf, const char *path,
                                           struct kms_why *why);
/* rotators.c: databases and rotators by themselves and together. path is the file's in messages. */
KMS_MUST_USE kms_err kmsd_conf_check_rotators(const struct kmsd_conf *conf, const char *path,
                                              struct kms_why *why);

KMS_MUST_USE kms_err kmsd_conf_print_sample(kms_buf *out);                        /* deploy's kmsd.yaml */
KMS_MUST_USE kms_err kmsd_conf_print(const struct kmsd_conf *conf, kms_buf *out); /* values in effect */

#endif
