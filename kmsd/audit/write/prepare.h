/*
 * Makes segments: created, allocated, zeroed and synced, file and directory, before a record is written to
 * them. One is made ahead by a thread, so that no commit waits for zeroing.
 */
#ifndef KMS_AUDIT_PREPARE_H
#define KMS_AUDIT_PREPARE_H

#include "base/bytes.h"

enum { KMS_AUDIT_BLOCK_BYTES = 4096 }; /* multiple of every logical block size that O_DIRECT may ask for */

/* A segment ready to be written. */
struct kms_audit_file {
    int fd; /* owned; -1: none */
    uint32_t number;
    bool direct; /* O_DIRECT|O_DSYNC: whole aligned blocks, durable when written; else fdatasync makes durable
                  */
};
void kms_audit_file_close(struct kms_audit_file *file);

typedef struct kms_audit_preparer kms_audit_preparer;

struct kms_audit_preparer_options {
    int dir_fd;           /* borrowed until free */
    const char *instance; /* likewise */
    uint64_t segment_bytes;
    bool cached; /* through the page cache: never O_DIRECT|O_DSYNC */
};
/* NO_MEMORY, INTERNAL (no thread). */
KMS_MUST_USE kms_err kms_audit_preparer_new(const struct kms_audit_preparer_options *options,
                                            kms_audit_preparer **ret_preparer);
/* Begins to prepare this one, unless one is being prepared or that failed within the last second. Never
 * waits. True: there is one ready. */
bool kms_audit_prepare(kms_audit_preparer *preparer, uint32_t number);
/* Why the last one could not be prepared ahead of time; empty: it could, or none was wanted yet. */
void kms_audit_prepare_trouble(kms_audit_preparer *preparer, struct kms_why *ret_why);
/* The segment prepared, when it is ready or being made; else this number, made now. AUDIT_UNAVAILABLE: why
 * names the file and the cause; nothing is left of it. */
KMS_MUST_USE kms_err kms_audit_prepared(kms_audit_preparer *preparer, uint32_t number,
                                        struct kms_audit_file *ret_file, struct kms_why *why);
/* Removes a segment that was prepared and not taken. NULL is a no-op. */
void kms_audit_preparer_free(kms_audit_preparer *preparer);

#endif
