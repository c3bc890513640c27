/* From a call to its audit event. */
#ifndef KMS_SERVICE_RECORD_H
#define KMS_SERVICE_RECORD_H

#include "kmsd/audit/audit.h"
#include "kmsd/policy/input.h"
#include "kmsd/service/decide.h"

/* Space for what the event borrows and the call does not hold. */
struct kms_record {
    struct kms_audit_event event;
    struct kms_audit_pair pairs[KMS_CALL_ACCESSES][KMS_CONTEXT_PAIRS];
    struct kms_question questions[KMS_CALL_ACCESSES];
    struct kms_inputs inputs[KMS_CALL_ACCESSES + 1]; /* the last: of the call */
    struct kms_audit_pair input_pairs[KMS_CALL_ACCESSES + 1][KMS_INPUT_PAIRS];
};

/* The call's attempt (call->attempt) or its outcome. Borrows from call and space. */
const struct kms_audit_event *kms_record_of(const struct kms_call *call, struct kms_record *space);

#endif
