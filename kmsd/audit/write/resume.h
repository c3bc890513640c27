/* Finds where a log ended, so that it can go on. */
#ifndef KMS_AUDIT_RESUME_H
#define KMS_AUDIT_RESUME_H

#include "kmsd/audit/segment.h"

struct kms_audit_resume {
    struct kms_audit_head head; /* the last record that counts */
    struct kms_audit_state state;
    enum kms_audit_because because; /* NEW, START or CRASH */
    uint32_t head_number;           /* file that holds it; 0: none */
    uint32_t next_number;           /* first one free */
    uint64_t head_bytes;            /* length of that file up to and with its last record */
    uint64_t torn_bytes;            /* behind it, not NUL: what a commit that was cut off left */
    bool torn_file;                 /* a newer file holds nothing but a torn first line */
};

/* Reads the newest file from start to end. Syncs it, so that what was read stays. Removes prepared files that
 * were never used. IO, CORRUPT (why: file, line, what is wrong), NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_resume(int dir_fd, const char *instance, struct kms_audit_resume *ret_resume,
                                      struct kms_why *why);
/* Once the new segment says how the log goes on: cuts off what the old file holds behind its last record. As
 * a courtesy to other tools; failure changes nothing. */
void kms_audit_resume_tidy(int dir_fd, const char *instance, const struct kms_audit_resume *resume);

#endif
