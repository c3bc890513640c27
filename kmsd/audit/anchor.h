/*
 * Anchors: signed heads written to a second place, a file (on another disk, or machine) and syslog, so that a
 * log that was cut off, or made anew, is told by comparison. A thread of its own writes: a disk or a syslog
 * that hangs delays nobody. When heads come faster than it writes, it writes the newest only, which stands
 * for all before; one that could not be written is tried again every second. Thread-safe.
 */
#ifndef KMS_AUDIT_ANCHOR_H
#define KMS_AUDIT_ANCHOR_H

#include "kmsd/audit/head.h"

typedef struct kms_anchor kms_anchor;

/* file: NULL or "" for none; made when it is not there (mode 0640), appended to and synced, opened anew each
 * time. NO_MEMORY. The texts are copied. */
KMS_MUST_USE kms_err kms_anchor_start(const char *instance, const char *file, bool to_syslog,
                                      kms_anchor **ret_anchor);
/* Never waits. */
void kms_anchor_put(kms_anchor *anchor, const struct kms_audit_signed_head *head);
/* How the last attempt went: the newest sequence that was written (0: none), what is wrong ("": nothing). */
void kms_anchor_status(kms_anchor *anchor, uint64_t *ret_sequence, struct kms_why *ret_trouble);
/* Waits until the last head is written, 5 seconds at most: a disk that hangs for longer keeps its thread, and
 * what that needs. NULL is a no-op. */
void kms_anchor_stop(kms_anchor *anchor);

/* One line at the end of the file, durable. What a write that was cut off left there is ended by a line feed
 * first. IO: why names the file. */
KMS_MUST_USE kms_err kms_anchor_append(const char *file, struct kms_bytes line, struct kms_why *why);

#endif
