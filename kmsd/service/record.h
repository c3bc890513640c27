/* From a call to its audit event. */
#ifndef KMS_SERVICE_RECORD_H
#define KMS_SERVICE_RECORD_H

#include "kmsd/audit/audit.h"
#include "kmsd/policy/input.h"
#include "kmsd/service/decide.h"

/* All a call can have, with fifty tags on each of its keys; of a batch what there is room for. */
enum { KMS_RECORD_INPUTS = 4096, KMS_RECORD_INPUT_TEXT_BYTES = 128 * 1024 };

/* Space for what the event borrows and the call does not hold. */
struct kms_record {
    struct kms_audit_event event;
    struct kms_audit_pair pairs[KMS_AUDIT_BATCH_PAIRS]; /* contexts of all accesses */
    size_t pair_count;
    struct kms_question questions[KMS_AUDIT_BATCH_ACCESSES];
    struct kms_inputs scratch; /* of one access, or of the call */
    struct kms_audit_pair inputs[KMS_RECORD_INPUTS];
    size_t input_count;
    char input_text[KMS_RECORD_INPUT_TEXT_BYTES]; /* what inputs borrowed from scratch */
    size_t input_text_len;
    struct kms_audit_batch batch;
    struct kms_audit_access access[KMS_AUDIT_BATCH_ACCESSES];
    struct kms_audit_item items[KMS_AUDIT_ITEMS];
};

/* The call's attempt (call->attempt) or its outcome. Borrows from call and space. */
const struct kms_audit_event *kms_record_of(const struct kms_call *call, struct kms_record *space);

#endif
