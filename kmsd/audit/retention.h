/*
 * Which of the oldest files of a log may go, and their removal. Knows only the files: that it is said in a
 * record first, and what else still needs them, is the caller's matter (kmsd/service/retention.c). Beside a
 * writer, on any thread, one at a time.
 */
#ifndef KMS_AUDIT_RETENTION_H
#define KMS_AUDIT_RETENTION_H

#include "base/bytes.h"
#include "base/digest.h"

struct kms_audit_keep {
    uint64_t before_us; /* what is older (microseconds since 1970-01-01 UTC) may go; 0: age is no reason */
    uint64_t bytes;     /* with more than this in all files together, the oldest go; 0: size is no reason */
    uint64_t sequence;  /* no record behind this one may go */
};

/* Whole files, from the oldest on. */
struct kms_audit_drop {
    unsigned files; /* 0: none */
    uint32_t first_number, last_number;
    uint64_t first_sequence, last_sequence;
    char last_hash[2 * KMS_DIGEST_BYTES + 1]; /* of the record last_sequence */
    uint64_t bytes;                           /* that their removal frees */
};

/* Never the newest file, and nothing at or behind a file whose first record is damaged. A file is as old as
 * the first record of the next one. IO (why), NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_drop_plan(const char *dir, const char *instance,
                                         const struct kms_audit_keep *keep, struct kms_audit_drop *ret_drop,
                                         struct kms_why *why);
/* Removes them, the oldest first, so that what a crash leaves is a log that begins later. IO: why names the
 * file; those before it are gone. */
KMS_MUST_USE kms_err kms_audit_drop_files(const char *dir, const char *instance,
                                          const struct kms_audit_drop *drop, struct kms_why *why);

#endif
