/*
 * What the daemon's log says of the rooms that never log themselves: the HSM pool and the audit log. A state
 * is told when it changes. The finish thread's own.
 */
#ifndef KMS_SERVICE_TELL_H
#define KMS_SERVICE_TELL_H

#include "kmsd/service/core.h"

/* By kms_audit_troubles and behind these by kms_ship_troubles. */
enum { KMS_TOLD_TROUBLES = KMS_AUDIT_TROUBLES + KMS_SHIP_TROUBLES };

/* What was told last. Zero-initialised. */
struct kms_told {
    bool audit_failing;
    unsigned hsm_healthy;
    uint64_t hsm_replaced;
    bool hsm_apart;
    char hsm_trouble[KMS_WHY_BYTES];
    struct kms_why audit_troubles[KMS_TOLD_TROUBLES];
};

/* A commit ended so. why: the cause, when it failed. */
void kms_tell_commit(struct kms_told *told, kms_err err, const struct kms_why *why);
/* What is wrong now, in the order of KMS_TOLD_TROUBLES; and each one's name: "write", "space", ... Thread-
 * safe. */
void kms_tell_troubles(const struct kms_core *core, struct kms_why ret_whys[KMS_TOLD_TROUBLES]);
const char *kms_tell_trouble_name(size_t trouble);
/* For each second. */
void kms_tell_workers(struct kms_told *told, struct kms_core *core);
void kms_tell_audit(struct kms_told *told, struct kms_core *core);

#endif
