/*
 * kms_heads: has the head of the audit log signed inside the token after so many records, after so long when
 * there are new ones, and at the end; the signature becomes a record of the log and goes to the anchor. A
 * thread of its own: neither token nor anchor delays a call, and no failure of theirs stops the log. What
 * fails is logged once, told by GetStatus, and tried again. Thread-safe.
 */
#ifndef KMS_SERVICE_HEADS_H
#define KMS_SERVICE_HEADS_H

#include "kmsd/service/pipeline.h"

typedef struct kms_heads kms_heads;

struct kms_heads_options {
    uint32_t records;        /* new ones, from 1 */
    uint32_t interval_ms;    /* from 1 */
    const char *anchor_file; /* "": none */
    bool anchor_syslog;
};

/* core (its hsm and audit) and pipeline outlive it. core->heads is set from here on. NO_MEMORY. */
KMS_MUST_USE kms_err kms_heads_start(const struct kms_heads_options *options, struct kms_core *core,
                                     kms_pipeline *pipeline);
/* Signs what is new, once, and ends: call it when nothing else is written any more, while finish thread and
 * HSM still run. What it knows can be asked until kms_heads_free. */
void kms_heads_stop(struct kms_core *core);
void kms_heads_free(struct kms_core *core); /* when the finish thread has ended */

/* The finish thread: so many records were committed. heads may be NULL. */
void kms_heads_wrote(kms_heads *heads, size_t records);

struct kms_heads_status {
    bool has_head;
    struct kms_audit_signed_head head; /* newest one that is durable; only if has_head */
    struct kms_why trouble;            /* of the last attempt to sign; "": none */
    uint64_t anchored;                 /* sequence of the newest head in the anchor; 0: none */
    struct kms_why anchor_trouble;
};
/* All zero when heads is NULL. */
void kms_heads_status(kms_heads *heads, struct kms_heads_status *ret_status);

#endif
