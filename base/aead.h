/* AES-256-GCM (NIST SP 800-38D) over whole messages, by OpenSSL. Thread-safe: values only. */
#ifndef KMS_BASE_AEAD_H
#define KMS_BASE_AEAD_H

#include "base/bytes.h"

enum { KMS_AEAD_KEY_BYTES = 32, KMS_AEAD_IV_BYTES = 12, KMS_AEAD_TAG_BYTES = 16 };

/* Seals plaintext into out, which has room for KMS_AEAD_TAG_BYTES more and does not overlap it. The same
 * key and iv must never seal two messages. INTERNAL, NO_MEMORY. */
KMS_MUST_USE kms_err kms_aead_seal(const uint8_t key[KMS_AEAD_KEY_BYTES], const uint8_t iv[KMS_AEAD_IV_BYTES],
                                   struct kms_bytes aad, struct kms_bytes plaintext, uint8_t *out);
/* Opens sealed (ciphertext and tag) into out, which has room for KMS_AEAD_TAG_BYTES less. INVALID_CIPHERTEXT:
 * then out is wiped. */
KMS_MUST_USE kms_err kms_aead_open(const uint8_t key[KMS_AEAD_KEY_BYTES], const uint8_t iv[KMS_AEAD_IV_BYTES],
                                   struct kms_bytes aad, struct kms_bytes sealed, uint8_t *out);

#endif
