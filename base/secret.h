/*
 * kms_secret: the only memory that may hold key material or plaintext. Pages are locked into RAM, left out of
 * core dumps, zeroed in a forked child, and wiped when given back. No function prints a secret, compares it
 * with memcmp, or copies it into a kms_buf. Small secrets share locked slabs, so that RLIMIT_MEMLOCK (8 MiB
 * by default) goes far. Thread-safe.
 */
#ifndef KMS_BASE_SECRET_H
#define KMS_BASE_SECRET_H

#include "base/bytes.h"

enum { KMS_SECRET_MAX_BYTES = 256 * 1024, KMS_LOCKED_MAX_BYTES = 16 * 1024 * 1024 };

/* Room for len bytes (1..KMS_LOCKED_MAX_BYTES), zeroed. NULL when no more memory may be locked. Above
 * KMS_SECRET_MAX_BYTES each block is a mapping of its own, which ends with it. */
void *kms_locked_alloc(size_t len);
/* Wipes and gives back; len as it was asked for. NULL is a no-op. */
void kms_locked_free(void *p, size_t len);
/* The same for a block of which only the first used bytes were ever written to: the rest is zero still. */
void kms_locked_free_used(void *p, size_t len, size_t used);
/* All locked memory together stays at or below limit_bytes; 0 (the default) leaves it to RLIMIT_MEMLOCK. */
void kms_locked_limit(size_t limit_bytes);
size_t kms_locked_used(void); /* bytes mapped and locked now */

typedef struct kms_secret kms_secret;

/* Errors: INVALID_ARGUMENT (len), NO_MEMORY. The caller owns *ret_secret; untouched on failure. */
KMS_MUST_USE kms_err kms_secret_new(size_t len, kms_secret **ret_secret);
uint8_t *kms_secret_data(kms_secret *s);    /* borrowed, valid until free */
size_t kms_secret_len(const kms_secret *s); /* bytes */
void kms_secret_free(kms_secret *s);        /* NULL is a no-op */
void kms_secret_drop(kms_secret **s);       /* for KMS_OWN */
void kms_wipe(void *p, size_t len);         /* not removed by the optimiser */

#endif
