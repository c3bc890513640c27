/*
 * The finish thread: reads HSM results, takes finished calls, appends their audit records, commits once for
 * all of them and only then sets their replies free (group commit). The one place that writes the audit
 * log.
 */
#ifndef KMS_SERVICE_FINISH_H
#define KMS_SERVICE_FINISH_H

#include "kmsd/service/pipeline.h"

typedef struct kms_finish kms_finish;

/* lane: of the HSM, the finish thread's own. */
KMS_MUST_USE kms_err kms_finish_start(struct kms_core *core, unsigned lane, kms_finish **ret_finish);
void kms_finish_set_transport(kms_finish *finish, const struct kms_transport *transport);
void kms_finish_stop(kms_finish *finish);

/* A call that is done, or (call->attempt) about to change something. Any thread but the finish thread. */
void kms_finish_post(kms_finish *finish, struct kms_call *call);
/* A call that was refused without a record of its own (call->silent): nothing to wait for, its answer leaves.
 * Any thread. */
void kms_finish_refuse(kms_finish *finish, struct kms_call *call);
/* The call's job, or the first of a batch, submitted on a lane of the caller's; kms_hsm_flush sends it. */
void kms_finish_submit(kms_finish *finish, unsigned lane, struct kms_call *call);
/* Writes the attempt of an admin call and waits until it is durable. Returns call->err. */
KMS_MUST_USE kms_err kms_finish_attempt(kms_finish *finish, struct kms_call *call);
/* Writes a record of the service itself and waits until it is durable. */
KMS_MUST_USE kms_err kms_finish_note(kms_finish *finish, const struct kms_audit_event *event);

#endif
