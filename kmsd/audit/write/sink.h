/*
 * Where the lines go: the segment being written and the change to the next one. A commit is one write; a
 * segment whose write or sync failed is not written again. Knows nothing of records. Not thread-safe.
 */
#ifndef KMS_AUDIT_SINK_H
#define KMS_AUDIT_SINK_H

#include "kmsd/audit/write/prepare.h"

typedef struct kms_audit_sink kms_audit_sink;

struct kms_audit_sink_options {
    int dir_fd;           /* borrowed */
    const char *instance; /* borrowed */
    uint64_t segment_bytes;
    uint32_t first_number; /* of the first segment to make */
    size_t batch_bytes;    /* longest commit */
    bool cached;           /* durability is the page cache's: survives the process, not the machine */
};
/* Makes no file yet. NO_MEMORY, INTERNAL. */
KMS_MUST_USE kms_err kms_audit_sink_new(const struct kms_audit_sink_options *options,
                                        kms_audit_sink **ret_sink);

/* Goes on in a new segment; the old one loses its NULs, or is left alone when it failed (and removed when
 * nothing in it was ever durable). AUDIT_UNAVAILABLE: why says the cause; the old one stays as it was. */
KMS_MUST_USE kms_err kms_audit_sink_roll(kms_audit_sink *sink, struct kms_why *why);
uint32_t kms_audit_sink_number(
    const kms_audit_sink *sink); /* of the segment being written; 0: none that can be written */
bool kms_audit_sink_fits(const kms_audit_sink *sink,
                         size_t len); /* so many bytes more can be written to it */
/* The next segment is prepared, as far as can be seen without waiting; else that has begun, and ret_why says
 * why it failed the last time (empty: it did not). */
bool kms_audit_sink_ready(kms_audit_sink *sink, struct kms_why *ret_why);
/* The segment being written stands in the directory under its name. */
bool kms_audit_sink_in_place(const kms_audit_sink *sink);
/* Where to put the bytes of the next commit: room for batch_bytes, valid until roll or commit. */
uint8_t *kms_audit_sink_space(kms_audit_sink *sink);
/* Writes len bytes that were put there, durably. AUDIT_UNAVAILABLE: why says the cause; whether the bytes are
 * in the file is not known, and the segment is not written again. */
KMS_MUST_USE kms_err kms_audit_sink_commit(kms_audit_sink *sink, size_t len, struct kms_why *why);

void kms_audit_sink_free(kms_audit_sink *sink); /* closes in good order; NULL is a no-op */

#endif
