/*
 * One value of a SealedSecret (bitnami-labs/sealed-secrets), the bytes behind its base64:
 *
 * u16 length of what follows   big-endian, that of the modulus RSA ciphertext               RSAES-OAEP with
 * SHA-256 of a session key, 32 random bytes, with a label ciphertext, 16-byte tag      AES-256-GCM under
 * the session key, its nonce zeros: a session key is used once
 *
 * The label says for whom the value is: see scope.h. Thread-safe: no state.
 */
#ifndef KMS_CLIENT_KMSCTL_SEALED_VALUE_H
#define KMS_CLIENT_KMSCTL_SEALED_VALUE_H

#include <openssl/evp.h>

#include "client/kmsctl/sealed/text.h"

enum {
    CTL_SESSION_KEY_BYTES = 32,
    CTL_SEALED_VALUE_BYTES = 2 * 1024 * 1024, /* longest plaintext: a Secret has 1 MiB in all */
};

struct ctl_sealed {
    struct kms_bytes session; /* the RSA ciphertext */
    struct kms_bytes box;     /* ciphertext and tag */
};
/* Borrowed from data. INVALID_CIPHERTEXT: cut off, or not of this form; why says which. */
KMS_MUST_USE kms_err ctl_sealed_split(struct kms_bytes data, struct ctl_sealed *ret_sealed,
                                      struct kms_why *why);

/* With the public key of a certificate, RSA. out must be empty. NO_MEMORY, INTERNAL, INVALID_ARGUMENT (too
 * long). */
KMS_MUST_USE kms_err ctl_sealed_make(EVP_PKEY *to, struct kms_bytes label, struct kms_bytes plaintext,
                                     kms_buf *out);
/* The session key as it was decrypted; one of another length does not open. INVALID_CIPHERTEXT, NO_MEMORY. */
KMS_MUST_USE kms_err ctl_sealed_open(const struct ctl_sealed *sealed, struct kms_bytes session_key,
                                     struct ctl_data *ret_plaintext);

#endif
