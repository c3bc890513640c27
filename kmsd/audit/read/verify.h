/* What the two halves of verify share: the walk along the chain, and what is known of its heads. */
#ifndef KMS_AUDIT_VERIFY_H
#define KMS_AUDIT_VERIFY_H

#include <stdio.h>

#include "kmsd/audit/head.h"
#include "kmsd/audit/read/front.h"
#include "kmsd/audit/reader.h"
#include "kmsd/audit/segment.h"

struct kms_verify {
    const struct kms_audit_check *check; /* what the caller wants */
    int dir_fd;
    char instance[KMS_AUDIT_INSTANCE_BYTES + 1];
    struct kms_audit_segments segments;
    struct kms_audit_scan scan;
    kms_digest *digest;
    char name[KMS_AUDIT_NAME_BYTES]; /* current file */
    struct kms_audit_head head;      /* last good record */
    char time[KMS_TIME_TEXT - 1];    /* of it */
    bool expect_found;
    bool ends_in_head;                  /* the last good record is a head over the one before it */
    uint64_t bytes_before, bytes_total; /* for progress */

    kms_audit_keys *keys;               /* NULL: signatures are not checked */
    char (*recent)[KMS_AUDIT_HASH_HEX]; /* hashes of the last KMS_AUDIT_HEAD_BEHIND records, by sequence */
    FILE *anchor;                       /* NULL: none, or read to its end */
    uint64_t anchor_line;
    struct kms_audit_signed_head anchored; /* the next one to come; sequence 0: none */

    struct kms_audit_front front;
    struct kms_audit_report report;
    struct kms_why *why;
};

/* The first fault: "FILE:LINE: KIND: words", here in the current file. CORRUPT. */
KMS_MUST_USE kms_err kms_verify_fault(struct kms_verify *v, uint64_t line, const char *kind,
                                      const char *words);

/* INVALID_ARGUMENT: key; IO: anchor; NO_MEMORY. */
KMS_MUST_USE kms_err kms_verify_heads_open(struct kms_verify *v);
void kms_verify_heads_close(struct kms_verify *v);
/* A record whose place in the chain is good: is it a head, is it anchored? CORRUPT, INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_verify_heads_note(struct kms_verify *v, struct kms_bytes line,
                                           const struct kms_audit_record *record);
/* At the end of the log: is any anchored head missing, are too many records unsigned? CORRUPT. */
KMS_MUST_USE kms_err kms_verify_heads_end(struct kms_verify *v);

#endif
