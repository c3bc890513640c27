/* What any thread may ask of a log, kept apart from what its one writer works on. Thread-safe. */
#ifndef KMS_AUDIT_TOLD_H
#define KMS_AUDIT_TOLD_H

#include "kmsd/audit/state.h"

typedef struct kms_audit_told kms_audit_told;

KMS_MUST_USE kms_err kms_audit_told_new(kms_audit_told **ret_told); /* NO_MEMORY */
void kms_audit_told_free(kms_audit_told *told);                     /* NULL is a no-op */

/* A commit ended, well (failed NULL) or not. */
void kms_audit_tell(kms_audit_told *told, const struct kms_audit_head *head,
                    const struct kms_audit_state *durable, const struct kms_why *failed);
/* words empty: nothing is wrong there any more. */
void kms_audit_tell_trouble(kms_audit_told *told, enum kms_audit_trouble which, const char *words);

struct kms_audit_answers {
    struct kms_audit_head head;
    bool writable, has_mark;
    uint64_t revision;
    uint8_t digest[KMS_DIGEST_BYTES];
    struct kms_why failed; /* why the last commit that failed did */
    struct kms_why troubles[KMS_AUDIT_TROUBLES];
};
void kms_audit_ask(kms_audit_told *told, struct kms_audit_answers *ret_answers);

#endif
