/*
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (FIPS 198-1) by OpenSSL, prepared once. A kms_digest is not
 * thread-safe: one for each thread; making one costs microseconds, using it does not.
 */
#ifndef KMS_BASE_DIGEST_H
#define KMS_BASE_DIGEST_H

#include "base/bytes.h"

enum { KMS_DIGEST_BYTES = 32 };

typedef struct kms_digest kms_digest;

KMS_MUST_USE kms_err kms_digest_new(kms_digest **ret_digest); /* SHA-256 */
/* HMAC-SHA-256 under key, which OpenSSL copies into memory of its own that it wipes on free. */
KMS_MUST_USE kms_err kms_digest_new_keyed(struct kms_bytes key, kms_digest **ret_digest);
/* One digest over the parts one after the other; the caller separates them (lengths first). */
KMS_MUST_USE kms_err kms_digest_run(kms_digest *d, const struct kms_bytes *parts, size_t count,
                                    uint8_t ret_digest[KMS_DIGEST_BYTES]);
/* SHA-256 of data in lower-case hex with its NUL. */
KMS_MUST_USE kms_err kms_sha256_hex(struct kms_bytes data, char ret_hex[2 * KMS_DIGEST_BYTES + 1]);
void kms_digest_free(kms_digest *d);
void kms_digest_drop(kms_digest **d);

#endif
