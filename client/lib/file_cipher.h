/*
 * The chunks of one file: AES-256-GCM with number and end in the nonce (STREAM, proto/FORMAT.md). OpenSSL
 * holds the expanded key in memory of its own, which it wipes on free. Not thread-safe.
 */
#ifndef KMS_CLIENT_FILE_CIPHER_H
#define KMS_CLIENT_FILE_CIPHER_H

#include "client/lib/file_format.h"

typedef struct kms_file_cipher kms_file_cipher;

KMS_MUST_USE kms_err kms_file_cipher_new(const uint8_t key[KMS_FILE_KEY_BYTES],
                                         kms_file_cipher **ret_cipher); /* NO_MEMORY */
void kms_file_cipher_free(kms_file_cipher *cipher);                     /* NULL is a no-op */
void kms_file_cipher_drop(kms_file_cipher **cipher);

struct kms_file_place {
    uint64_t chunk; /* from 0 */
    bool last;      /* of the file */
};
/* plain.len + KMS_FILE_TAG_BYTES bytes to `to`; once for each place. INTERNAL. */
KMS_MUST_USE kms_err kms_file_seal(kms_file_cipher *cipher, struct kms_file_place place,
                                   struct kms_bytes plain, uint8_t *to);
/* sealed.len - KMS_FILE_TAG_BYTES bytes, never negative, to `to`. INVALID_CIPHERTEXT: not what was sealed
 * there; `to` is wiped. */
KMS_MUST_USE kms_err kms_file_unseal(kms_file_cipher *cipher, struct kms_file_place place,
                                     struct kms_bytes sealed, uint8_t *to);

#endif
