/* One line for each change. */
#include "kmsd/service/tell.h"

#include <string.h>

#include "base/log.h"
#include "kmsd/metrics/metric.h"

void kms_tell_commit(struct kms_told *told, kms_err err, const struct kms_why *why)
{
    if (kms_failed(err) == told->audit_failing) return;
    told->audit_failing = kms_failed(err);
    if (told->audit_failing)
        kms_log(KMS_LOG_ERROR, "audit.write", "err=%s no call is answered until it works again: %s",
                kms_err_reason(err), why->text);
    else
        kms_log(KMS_LOG_INFO, "audit.write", "works again");
}

void kms_tell_workers(struct kms_told *told, struct kms_core *core)
{
    struct kms_hsm_status status;
    kms_hsm_status(core->hsm, &status);
    if (status.software_apart != told->hsm_apart)
        kms_log(KMS_LOG_INFO, "hsm.token", "apart=%d %s", status.software_apart,
                status.software_apart ? "it is slow: SOFTWARE level has a worker of its own now"
                                      : "all workers do jobs of SOFTWARE level again");
    told->hsm_apart = status.software_apart;
    bool died = status.workers_replaced != told->hsm_replaced;
    bool trouble = strcmp(status.trouble, told->hsm_trouble) != 0;
    if (!died && !trouble && status.workers_healthy == told->hsm_healthy) return;
    enum kms_log_level level = died || status.trouble[0] != '\0' ? KMS_LOG_WARN : KMS_LOG_INFO;
    kms_log(status.workers_healthy == 0 ? KMS_LOG_ERROR : level, "hsm.workers",
            "healthy=%u configured=%u died=%llu%s%s", status.workers_healthy, status.workers_configured,
            (unsigned long long)status.workers_replaced, status.trouble[0] != '\0' ? " " : "",
            status.trouble);
    kms_metric_add(KMS_METRIC_HSM_WORKERS_REPLACED, status.workers_replaced - told->hsm_replaced);
    told->hsm_healthy = status.workers_healthy;
    told->hsm_replaced = status.workers_replaced;
    kms_copy(told->hsm_trouble, status.trouble, sizeof told->hsm_trouble);
}

const char *kms_tell_trouble_name(size_t trouble)
{
    static const char *const names[KMS_TOLD_TROUBLES] = {
        [KMS_AUDIT_TROUBLE_WRITE] = "write",
        [KMS_AUDIT_TROUBLE_NEXT] = "next-file",
        [KMS_AUDIT_TROUBLE_LOST] = "lost-file",
        [KMS_AUDIT_TROUBLE_PACK] = "compress",
        [KMS_AUDIT_TROUBLE_SPACE] = "space",
        [KMS_AUDIT_TROUBLES + KMS_SHIP_STREAM] = "stream",
        [KMS_AUDIT_TROUBLES + KMS_SHIP_SYSLOG] = "syslog",
        [KMS_AUDIT_TROUBLES + KMS_SHIP_KINDS + KMS_SHIP_STREAM] = "stream-gap",
        [KMS_AUDIT_TROUBLES + KMS_SHIP_KINDS + KMS_SHIP_SYSLOG] = "syslog-gap"};
    return names[trouble];
}

void kms_tell_troubles(const struct kms_core *core, struct kms_why ret_whys[KMS_TOLD_TROUBLES])
{
    kms_audit_troubles(core->audit, ret_whys);
    kms_ship_troubles(core->ship, ret_whys + KMS_AUDIT_TROUBLES);
}

void kms_tell_audit(struct kms_told *told, struct kms_core *core)
{
    struct kms_why now[KMS_TOLD_TROUBLES];
    kms_tell_troubles(core, now);
    for (size_t i = 0; i < KMS_TOLD_TROUBLES; i++) {
        if (i == KMS_AUDIT_TROUBLE_WRITE) continue; /* told when it happens */
        if (strcmp(now[i].text, told->audit_troubles[i].text) == 0) continue;
        bool over = now[i].text[0] == '\0';
        /* How far a place is behind changes all the time: said when it begins and ends. */
        bool place = i >= KMS_AUDIT_TROUBLES && i < KMS_AUDIT_TROUBLES + KMS_SHIP_KINDS;
        if (!place || over || told->audit_troubles[i].text[0] == '\0')
            kms_log(over ? KMS_LOG_INFO : KMS_LOG_WARN, "audit", "trouble=%s %s", kms_tell_trouble_name(i),
                    over ? "over" : now[i].text);
        told->audit_troubles[i] = now[i];
    }
}
