/*
 * A change that waits for approvals (StoredApproval in keystore/record.proto), and what may be said of it:
 * is it still open, who is still missing. Pure functions and rows, out and in. Thread-safe: values only.
 *
 * The id of a request is the beginning of its digest, which is over everything that an approver agrees to:
 * who asks, what exactly, on which keys at which revisions. So the same request has the same id, and a
 * request that differs by a byte, or meets a changed key, is another one, which nobody has approved.
 */
#ifndef KMS_KEYS_APPROVAL_H
#define KMS_KEYS_APPROVAL_H

#include "keystore/record.pb-c.h"
#include "kmsd/keys/keyring.h"
#include "kmsd/keys/rule.h"

typedef Kms__Store__V1__StoredApproval kms_stored_approval;

/* Stored: append only. */
enum kms_approval_state {
    KMS_APPROVAL_PENDING =
        1,             /* collects approvals, or has them and waits for its requester to repeat the call */
    KMS_APPROVAL_USED, /* the change was made */
    KMS_APPROVAL_REJECTED,  /* by a named administrator */
    KMS_APPROVAL_WITHDRAWN, /* by who asked */
    KMS_APPROVAL_EXPIRED,
    KMS_APPROVAL_OUTDATED, /* a key has changed, or is gone */
    KMS_APPROVAL_STATE_COUNT
};

struct kms_approval {
    char id[KMS_ID_TEXT];
    uint64_t revision; /* of the row */
    kms_stored_approval *stored;
};
void kms_approval_free(struct kms_approval *approval); /* empties it */
#define KMS_OWN_APPROVAL __attribute__((cleanup(kms_approval_free))) struct kms_approval

/* CORRUPT names the row. ret_approval must be empty. */
KMS_MUST_USE kms_err kms_approval_from_row(const struct kms_row *row, struct kms_approval *ret_approval,
                                           struct kms_why *why);
/* body must be empty. NO_MEMORY. */
KMS_MUST_USE kms_err kms_approval_body(const kms_stored_approval *stored, kms_buf *body);

/* The id that belongs to a digest. */
void kms_approval_id(const uint8_t digest[KMS_DIGEST_BYTES], char id[KMS_ID_TEXT]);

/* What it is at this moment. revisions: of its keys now, in its order; 0: that key is gone. The clock may
 * have been set back: it is never earlier than what the request itself has seen. */
enum kms_approval_state kms_approval_state_at(const kms_stored_approval *stored, uint64_t now_us,
                                              const uint64_t *revisions);
/* How many of the principals that rule names must still approve until `needed` of them have. Each counts
 * once, the requester, when named, too. */
uint32_t kms_approval_missing(const kms_stored_approval *stored, const struct kms_rule *rule,
                              uint32_t needed);
/* Whether this principal's approval is in: voted, or asked for the change. */
bool kms_approval_has(const kms_stored_approval *stored, const char *principal);

#endif
