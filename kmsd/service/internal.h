/*
 * What the service does by itself: the same parcel and the same two records, attempt and outcome, as an
 * admin call, but nobody asked and policy is not. Runs on the caller's thread, which must not be rpc's or the
 * finish thread.
 */
#ifndef KMS_SERVICE_INTERNAL_H
#define KMS_SERVICE_INTERNAL_H

#include "kmsd/service/core.h"
#include "kmsd/service/pipeline.h"

/* Rows of the table in internal.c. */
enum kms_internal {
    KMS_INTERNAL_ROTATE_SCHEDULED,
    KMS_INTERNAL_ROTATE_FOR_BUDGET,
    KMS_INTERNAL_DELETE_KEY,
    KMS_INTERNAL_EXPIRE_GRANTS,
    KMS_INTERNAL_EXPIRE_MATERIAL,
    KMS_INTERNAL_CHECKPOINT_USAGE, /* of no key */
    KMS_INTERNAL_CLOSE_APPROVAL,
    KMS_INTERNAL_DROP_AUDIT, /* of no key */
    KMS_INTERNAL_DELETE_SECRET,
    KMS_INTERNAL_ROTATE_SECRET,
    KMS_INTERNAL_BEGIN_LEASE, /* these four of a database role */
    KMS_INTERNAL_EXPIRE_LEASES,
    KMS_INTERNAL_REVOKE_LEASES,
    KMS_INTERNAL_SWEEP_LEASES,
    KMS_INTERNAL_COUNT
};

/* As in its records: "RotateSecretStep". */
const char *kms_internal_name(enum kms_internal what);

/* about: the key that it is about, for CLOSE_APPROVAL the approval; NULL for nothing. The error is that of
 * the act; AUDIT_UNAVAILABLE: nothing was done. */
KMS_MUST_USE kms_err kms_internal_run(kms_pipeline *pipeline, struct kms_core *core, enum kms_internal what,
                                      const struct kms_id *about, struct kms_why *why);
/* The same of a stored secret, by its name. */
KMS_MUST_USE kms_err kms_internal_run_secret(kms_pipeline *pipeline, struct kms_core *core,
                                             enum kms_internal what, const char *name, struct kms_why *why);
/* The same of a database role, by its name; of BEGIN_LEASE the lease, else NULL. */
KMS_MUST_USE kms_err kms_internal_run_role(kms_pipeline *pipeline, struct kms_core *core,
                                           enum kms_internal what, const char *name, struct kms_lease *lease,
                                           struct kms_why *why);

#endif
