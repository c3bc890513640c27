/* Which files of the audit log are no longer kept: an internal act, so that a record says first what goes. */
#ifndef KMS_SERVICE_RETENTION_H
#define KMS_SERVICE_RETENTION_H

#include "kmsd/audit/retention.h"
#include "kmsd/service/core.h"

/* What may go now: by the options, but nothing that the usage ledger still needs at a restart, and by a time
 * that is believed. IO, NO_MEMORY. */
KMS_MUST_USE kms_err kms_retention_plan(const struct kms_core *core, struct kms_audit_drop *ret_drop,
                                        struct kms_why *why);
/* Gather and act of the internal call: what will go stands in the attempt's record, then it goes. */
KMS_MUST_USE kms_err kms_retention_gather(struct kms_call *call);
KMS_MUST_USE kms_err kms_retention_act(struct kms_call *call);

#endif
