/*
 * Compresses files of the log that nobody writes any more: INSTANCE-NNNNNNNN.jsonl becomes
 * INSTANCE-NNNNNNNN.jsonl.zst with the same content. At every moment at least one of the two is whole: the
 * compressed one is written under a hidden name, synced, read back and compared, and only then takes its
 * name; the plain one goes last. Where both are, readers take the plain one.
 */
#ifndef KMS_AUDIT_PACK_H
#define KMS_AUDIT_PACK_H

#include <stdatomic.h>

#include "base/bytes.h"

typedef struct kms_audit_packer kms_audit_packer;

/* Starts a thread that works when nothing else wants the processor or the disk, and removes what a packer
 * before left unfinished. dir_fd and instance are borrowed until free. NO_MEMORY, INTERNAL (no thread). */
KMS_MUST_USE kms_err kms_audit_packer_new(int dir_fd, const char *instance, kms_audit_packer **ret_packer);
/* Files with lower numbers may be compressed from now on. Never waits. NULL is a no-op. */
void kms_audit_pack_below(kms_audit_packer *packer, uint32_t number);
/* What the last try failed with; it is repeated every minute. Empty: nothing. */
void kms_audit_pack_trouble(kms_audit_packer *packer, struct kms_why *ret_why);
void kms_audit_packer_free(kms_audit_packer *packer); /* gives up what it is at; NULL is a no-op */

/* One file, now. *stopping (NULL: never) true: it gives up. IO: why names the file and the cause; the plain
 * file is as it was. NO_MEMORY. */
KMS_MUST_USE kms_err kms_audit_pack_file(int dir_fd, const char *instance, uint32_t number,
                                         const atomic_bool *stopping, struct kms_why *why);

#endif
