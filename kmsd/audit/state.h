/*
 * What the log says at its end: the newest keystore mark and the attempts without outcome. Kept while
 * writing, repeated in the first record of every file, found again when a log is opened. Values only.
 */
#ifndef KMS_AUDIT_STATE_H
#define KMS_AUDIT_STATE_H

#include "kmsd/audit/audit.h"
#include "kmsd/audit/chain.h"

struct kms_audit_state {
    bool has_mark;
    uint64_t revision;
    uint8_t digest[KMS_DIGEST_BYTES];
    size_t open_count;
    struct kms_audit_open_attempt open[KMS_AUDIT_OPEN_ATTEMPTS];
};

/* The event changes nothing in a state (true for nearly all). */
bool kms_audit_state_untouched(const struct kms_audit_event *event);
/* LIMIT_EXCEEDED: one attempt too many is open. INVALID_ARGUMENT: an attempt without request id, or a
 * revision above INT64_MAX, could not be read back. */
KMS_MUST_USE kms_err kms_audit_state_apply(struct kms_audit_state *state,
                                           const struct kms_audit_event *event);

/* The same from a record read back; line is the whole line, record its scan. CORRUPT: not what a writer
 * writes. */
KMS_MUST_USE kms_err kms_audit_state_read(struct kms_audit_state *state, struct kms_bytes line,
                                          const struct kms_audit_record *record);

/* The first record of a file. */
enum kms_audit_because {
    KMS_AUDIT_NEW,
    KMS_AUDIT_START,
    KMS_AUDIT_CRASH,
    KMS_AUDIT_FULL,
    KMS_AUDIT_FAILED,
    KMS_AUDIT_AGE,
    KMS_AUDIT_ASKED,
    KMS_AUDIT_LOST,
};
const char *kms_audit_because_text(enum kms_audit_because because);
struct kms_audit_opening {
    uint32_t number, after; /* files; after 0: none */
    enum kms_audit_because because;
};
/* state may be NULL when only the opening is wanted; otherwise it is set to what the record repeats. False:
 * not one. */
bool kms_audit_opening_read(struct kms_bytes line, struct kms_audit_opening *ret_opening,
                            struct kms_audit_state *state);

#endif
