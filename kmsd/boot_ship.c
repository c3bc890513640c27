/* The stage that sends audit records on to a log shipper and to syslog. */
#include "kmsd/boot.h"

kms_err kms_boot_ship_start(struct kms_boot *boot, struct kms_why *why)
{
    const struct kmsd_conf *conf = boot->conf;
    const struct kms_ship_options options = {
        .dir = conf->audit_dir,
        .instance = conf->audit_instance,
        .places = {[KMS_SHIP_STREAM] = {conf->audit_stream, conf->audit_stream_required},
                   [KMS_SHIP_SYSLOG] = {conf->audit_syslog, conf->audit_syslog_required}},
        .timeout_ms = conf->audit_ship_timeout_ms};
    uint64_t head;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    if (conf->audit_stream[0] == '\0' && conf->audit_syslog[0] == '\0') return KMS_OK;
    kms_audit_head(boot->core.audit, &head, hash);
    return kms_ship_start(&options, head, &boot->core.ship, why);
}

void kms_boot_ship_stop(struct kms_boot *boot)
{
    kms_ship_stop(boot->core.ship);
    boot->core.ship = NULL;
}
