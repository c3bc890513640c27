/*
 * The content of a compressed file of the log (zstd, RFC 8878), from any place on and with constant memory.
 * Going forward costs nothing extra; going back starts again at the front. Not thread-safe.
 */
#ifndef KMS_AUDIT_UNPACK_H
#define KMS_AUDIT_UNPACK_H

#include "base/bytes.h"

typedef struct kms_audit_unpacker kms_audit_unpacker;

KMS_MUST_USE kms_err kms_audit_unpacker_new(kms_audit_unpacker **ret_unpacker); /* NO_MEMORY */
void kms_audit_unpacker_free(kms_audit_unpacker *unpacker);                     /* NULL is a no-op */
void kms_audit_unpacker_drop(kms_audit_unpacker **unpacker);
/* From now on another file is read. */
void kms_audit_unpacker_restart(kms_audit_unpacker *unpacker);
/* What stands at offset: at least a byte, at most room; *ret_len 0: the end. IO; NO_MEMORY; CORRUPT: the file
 * is damaged or cut off, or wants more than 128 MiB of memory. */
KMS_MUST_USE kms_err kms_audit_unpack(kms_audit_unpacker *unpacker, int fd, uint64_t offset, uint8_t *to,
                                      size_t room, size_t *ret_len);
/* Length of the content, as the file itself says it: for a progress bar. 0: it does not. */
uint64_t kms_audit_unpacked_bytes(int fd);

#endif
