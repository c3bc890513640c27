/*
 * Where a log begins: with its first record, or where retention left it. The record that retention makes
 * before it drops files says up to which record it may, so a front without one was not made by the service.
 */
#ifndef KMS_AUDIT_FRONT_H
#define KMS_AUDIT_FRONT_H

#include "kmsd/audit/chain.h"

#define KMS_AUDIT_DROP_OPERATION "DropAuditFiles" /* of that record, which is an attempt of the service */

struct kms_audit_front {
    uint64_t sequence; /* of the first record that is there; 0: not known yet */
    char prev[KMS_AUDIT_HASH_HEX];
    bool explained;
};

/* Every good record of the log, in order; line without LF. */
void kms_audit_front_note(struct kms_audit_front *front, struct kms_bytes line,
                          const struct kms_audit_record *record);
/* It begins with the first record of all, or a record in it says why not. An empty log does. */
bool kms_audit_front_good(const struct kms_audit_front *front);

#endif
