/*
 * A file of the log that is there both plain and compressed: a packer that was killed between its last two
 * steps leaves that, and then they say the same. Needs the files only. Thread-safe.
 */
#ifndef KMS_AUDIT_TWIN_H
#define KMS_AUDIT_TWIN_H

#include "base/bytes.h"

struct kms_audit_twin {
    bool both;     /* false: one of them is not there, or is no regular file */
    bool same;     /* only if both */
    uint64_t line; /* of the compressed one, from 1: the first that differs; only if not same */
};

/* name: of the plain one. IO, NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_twin_look(int dir_fd, const char *name, struct kms_audit_twin *ret_twin);

#endif
