/*
 * Turns an event into the members of its record (from `,"kind":` on; chain.h puts the frame around them).
 * Whatever the event says, the record fits: texts that would make it too long are shortened, and the record
 * says so. Thread-safe.
 */
#ifndef KMS_AUDIT_ENCODE_H
#define KMS_AUDIT_ENCODE_H

#include "kmsd/audit/state.h"

enum {
    KMS_AUDIT_BODY_BYTES = KMS_AUDIT_RECORD_BYTES - KMS_AUDIT_FRAME_BYTES,     /* longest body of an event */
    KMS_AUDIT_BATCH_BODY_BYTES = KMS_AUDIT_LINE_BYTES - KMS_AUDIT_FRAME_BYTES, /* of one with a batch */
    KMS_AUDIT_OPENING_BYTES = 20 * 1024, /* longest first record of a file, with its frame */
};

/* to has room for KMS_AUDIT_BODY_BYTES; for a batch, KMS_AUDIT_BATCH_BODY_BYTES. time_us: of the record.
 * LIMIT_EXCEEDED cannot happen with strings as
 * audit.h describes them; it is checked all the same. */
KMS_MUST_USE kms_err kms_audit_encode(const struct kms_audit_event *event, const char *instance,
                                      uint64_t time_us, uint8_t *to, size_t *ret_len);

/* The first record of a file. to has room for KMS_AUDIT_OPENING_BYTES - KMS_AUDIT_FRAME_BYTES. */
KMS_MUST_USE kms_err kms_audit_encode_opening(const struct kms_audit_opening *opening,
                                              const struct kms_audit_state *state, const char *instance,
                                              uint8_t *to, size_t *ret_len);

#endif
