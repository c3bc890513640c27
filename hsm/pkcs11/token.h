/*
 * A logged-in token behind PKCS#11 2.40, as the worker sees it: no Cryptoki type leaves this folder.
 *
 * Two sessions: keys live on a pinned session that runs no operation; operations run on a second one that
 * is thrown away after an unexpected error (the operation may still be active there), and the call is
 * repeated once. Session objects die with the pinned session. Not thread-safe: one thread owns a
 * kms_token.
 *
 * Errors of every call: HSM_UNAVAILABLE, UNSUPPORTED (the token cannot), NO_MEMORY, and what is named
 * beside it.
 */
#ifndef KMS_HSM_PKCS11_TOKEN_H
#define KMS_HSM_PKCS11_TOKEN_H

#include "base/bytes.h"
#include "hsm/job.h"

typedef struct kms_token kms_token;
typedef unsigned long kms_object; /* a key on the token; 0 is none */

/* Loads the module, finds the token, logs in with the PIN file unless that file is the one in `refused`.
 * ret_refused is filled when the token refused the PIN. Errors: CONFIG_INVALID, MODULE_UNAVAILABLE,
 * TOKEN_NOT_FOUND, PIN_REFUSED, HSM_UNAVAILABLE; why says what and where. */
KMS_MUST_USE kms_err kms_token_open(const char *uri, const struct kms_pin_mark *refused,
                                    kms_token **ret_token, struct kms_pin_mark *ret_refused,
                                    struct kms_why *why);
void kms_token_free(kms_token *token); /* closes the sessions; the module stays loaded */
void kms_token_drop(kms_token **token);
void kms_token_names(const kms_token *token, char ret_label[33], char ret_serial[17]);

/* What went wrong in the last call: "C_Decrypt: CKR_GENERAL_ERROR (0x5)"; "" when nothing did. Borrowed. */
const char *kms_token_trouble(const kms_token *token);

/* One key of its own encrypts and decrypts a block: tells a broken token from bad data. HSM_UNAVAILABLE. */
KMS_MUST_USE kms_err kms_token_self_test(kms_token *token);

/* What a key is for; it can do nothing else. */
enum kms_key_use {
    KMS_USE_CIPHER, /* AES-256: ENCRYPT, DECRYPT */
    KMS_USE_WRAP,   /* AES-256: WRAP, UNWRAP, with CKA_UNWRAP_TEMPLATE {CKA_SENSITIVE = TRUE} */
    KMS_USE_UNWRAP, /* AES-256: UNWRAP */
    KMS_USE_MAC,    /* generic secret: SIGN, VERIFY */
    /* The private half of a key pair, and no more than this of it. */
    KMS_USE_RSA_SIGN,    /* SIGN */
    KMS_USE_RSA_DECRYPT, /* DECRYPT */
    KMS_USE_EC_SIGN,     /* SIGN */
};
struct kms_key_shape {
    const char *label; /* a token object of that label; NULL: a session object */
    enum kms_key_use use;
    uint16_t bits;    /* of a secret (0: 256), a modulus or a NIST curve; looked at when a key is made */
    bool extractable; /* may be wrapped */
    bool readable;    /* CKA_SENSITIVE = FALSE: only probes ask for it */
};

KMS_MUST_USE kms_err kms_token_generate(kms_token *token, const struct kms_key_shape *shape,
                                        kms_object *ret_key);
/* RSA (public exponent 65537) or EC on P-256, P-384, P-521. The caller destroys both halves. */
KMS_MUST_USE kms_err kms_token_generate_pair(kms_token *token, const struct kms_key_shape *shape,
                                             kms_object *ret_public, kms_object *ret_private);
/* A public half as numbers, big-endian. */
struct kms_public_parts {
    uint8_t modulus[512], exponent[8]; /* RSA */
    uint8_t point[1 + 2 * 66];         /* EC: 0x04, x, y (SEC 1, 2.3.3) */
    size_t modulus_len, exponent_len, point_len;
};
KMS_MUST_USE kms_err kms_token_public_parts(kms_token *token, kms_object public_key, enum kms_key_use use,
                                            struct kms_public_parts *ret_parts);
/* The private or secret key with that label; 0 when there is none. CORRUPT: there are several. */
KMS_MUST_USE kms_err kms_token_find(kms_token *token, const char *label, kms_object *ret_key);
/* The public half of the key pair with that label, likewise. */
KMS_MUST_USE kms_err kms_token_find_public(kms_token *token, const char *label, kms_object *ret_key);
/* A session object of the same value and for the same use that cannot be read either; 0: this token does
 * not copy. */
kms_object kms_token_copy(kms_token *token, kms_object key);
void kms_token_destroy(kms_token *token, kms_object key); /* 0 is a no-op */
/* The secret keys stored on the token and their labels, in no order; those with longer labels are left out.
 * LIMIT_EXCEEDED: more than fit. */
enum { KMS_LABEL_BYTES = 33, KMS_LABELS = 256 };
struct kms_labels {
    char text[KMS_LABELS][KMS_LABEL_BYTES];
    kms_object key[KMS_LABELS];
    size_t count;
};
KMS_MUST_USE kms_err kms_token_labels(kms_token *token, struct kms_labels *ret_labels);

/* CKM_AES_KEY_WRAP_PAD (RFC 5649). CORRUPT: the blob was not made by that key. */
KMS_MUST_USE kms_err kms_token_wrap(kms_token *token, kms_object wrapping, kms_object key, uint8_t *blob,
                                    size_t cap, size_t *ret_len);
KMS_MUST_USE kms_err kms_token_unwrap(kms_token *token, kms_object wrapping, struct kms_bytes blob,
                                      const struct kms_key_shape *shape, kms_object *ret_key);
/* A session key of this value (32 bytes), known outside: it may unwrap (KMS_USE_UNWRAP) and nothing else. */
KMS_MUST_USE kms_err kms_token_put_unwrapping(kms_token *token, const uint8_t *value, kms_object *ret_key);

enum { KMS_GCM_IV_BYTES = 12, KMS_GCM_TAG_BYTES = 16 }; /* NIST SP 800-38D */
struct kms_gcm {
    kms_object key;
    uint8_t iv[KMS_GCM_IV_BYTES];
    struct kms_bytes aad, input; /* decrypt: ciphertext and tag */
};
/* out has cap bytes: input and tag when encrypting, as long as the input when decrypting (tokens want
 * that). */
KMS_MUST_USE kms_err kms_token_encrypt(kms_token *token, const struct kms_gcm *gcm, uint8_t *out, size_t cap,
                                       size_t *ret_len);
/* INVALID_CIPHERTEXT: does not authenticate, and the token is well. */
KMS_MUST_USE kms_err kms_token_decrypt(kms_token *token, const struct kms_gcm *gcm, uint8_t *out, size_t cap,
                                       size_t *ret_len);
/* HMAC with SHA-256, SHA-384 or SHA-512 (bits); bits / 8 bytes into ret_mac. */
KMS_MUST_USE kms_err kms_token_hmac(kms_token *token, kms_object key, unsigned bits, struct kms_bytes message,
                                    uint8_t *ret_mac);
struct kms_signing {
    kms_object key;
    enum {
        KMS_SIGNING_ECDSA,     /* a digest -> r, s, each as long as the curve's order */
        KMS_SIGNING_RSA_PKCS1, /* a DigestInfo (RFC 8017, 9.2) -> as long as the modulus */
        KMS_SIGNING_RSA_PSS,   /* a digest; MGF1 of the same hash, salt as long as it -> the same */
    } how;
    unsigned hash; /* bits of the digest */
    struct kms_bytes input;
};
/* out has cap bytes, the exact length of the signature. */
KMS_MUST_USE kms_err kms_token_sign(kms_token *token, const struct kms_signing *signing, uint8_t *out,
                                    size_t cap);
/* The bare RSA private operation (CKM_RSA_X_509) on a number below the modulus; out has input.len bytes. */
KMS_MUST_USE kms_err kms_token_rsa_private(kms_token *token, kms_object key, struct kms_bytes input,
                                           uint8_t *out);
KMS_MUST_USE kms_err kms_token_random(kms_token *token, void *data, size_t len);

/* Can the token do it? Tried, not asked: C_GetMechanismInfo lists what does not work. */
KMS_MUST_USE kms_err kms_token_try_oaep_sha256(kms_token *token);
KMS_MUST_USE kms_err kms_token_try_ed25519_wrap(kms_token *token, kms_object wrapping);
/* Sensitive, not extractable, and its value cannot be read. UNSUPPORTED when it can. */
KMS_MUST_USE kms_err kms_token_check_unreadable(kms_token *token, kms_object key);

#endif
