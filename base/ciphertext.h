/*
 * A ciphertext from outside, byte by byte as proto/FORMAT.md says: its header, its text form, and the
 * encryption context in canonical form. Header and context are the additional authenticated data of the
 * encryption. Thread-safe: values only.
 */
#ifndef KMS_BASE_CIPHERTEXT_H
#define KMS_BASE_CIPHERTEXT_H

#include "base/id.h"

enum {
    KMS_CIPHERTEXT_HEADER_BYTES = 25,
    KMS_CIPHERTEXT_VERSION = 1,
    KMS_PLAINTEXT_BYTES = 65536,  /* longest plaintext */
    KMS_CIPHERTEXT_BYTES = 65605, /* longest ciphertext: header, 16 N, 12 IV, plaintext, 16 tag */
    KMS_CONTEXT_BYTES = 8192,     /* longest canonical encryption context */
    KMS_CONTEXT_PAIRS_MAX = 64,
};
enum kms_ciphertext_algorithm {
    KMS_ALG_AES_256_GCM = 1,         /* 12-byte random IV, used in the token */
    KMS_ALG_AES_256_GCM_DERIVED = 2, /* 16-byte N derives a key for this message, 12-byte random IV */
};

struct kms_ciphertext_header {
    uint8_t algorithm;
    struct kms_id key_id;
    uint32_t key_version; /* from 1 */
};

void kms_ciphertext_header_put(const struct kms_ciphertext_header *header,
                               uint8_t to[KMS_CIPHERTEXT_HEADER_BYTES]);
/* ret_sealed: what follows the header (nonce, ciphertext, tag), borrowed. INVALID_CIPHERTEXT: not ours, a
 * newer format version, an unknown algorithm, key version 0, too short or too long; why says which. */
KMS_MUST_USE kms_err kms_ciphertext_parse(struct kms_bytes blob, struct kms_ciphertext_header *ret_header,
                                          struct kms_bytes *ret_sealed, struct kms_why *why);

/* The text form for files and environments: this prefix, then standard base64 with padding. */
#define KMS_CIPHERTEXT_TEXT_PREFIX "kms:v1:"
/* It begins with the prefix, and so claims to be the text form of a ciphertext. */
bool kms_ciphertext_is_text(struct kms_bytes text);
/* Appends the text form of blob to text. Errors: NO_MEMORY. */
KMS_MUST_USE kms_err kms_ciphertext_to_text(struct kms_bytes blob, kms_buf *text);
/* Appends the bytes of a text form to blob, which stays as it was on failure. INVALID_CIPHERTEXT: no prefix,
 * not base64, too long; NO_MEMORY. The bytes are not looked at: parse them next. */
KMS_MUST_USE kms_err kms_ciphertext_from_text(struct kms_bytes text, kms_buf *blob, struct kms_why *why);

struct kms_context_pair {
    struct kms_bytes name, value;
};
/* Sorts pairs by name in place and appends the canonical form to out: u32 count, then name and value of each,
 * u32 length first. INVALID_ARGUMENT: too many or too long, an empty or double name, NUL or invalid UTF-8;
 * why names the pair. */
KMS_MUST_USE kms_err kms_context_canonical(struct kms_context_pair *pairs, size_t count, kms_buf *out,
                                           struct kms_why *why);

#endif
