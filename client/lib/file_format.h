/*
 * An encrypted file as proto/FORMAT.md says: its header, the keys that come from it, where its chunks are.
 * No input or output, no server. Thread-safe: values only.
 */
#ifndef KMS_CLIENT_FILE_FORMAT_H
#define KMS_CLIENT_FILE_FORMAT_H

#include <kms/file.h>

#include "base/bytes.h"

enum {
    KMS_FILE_VERSION = 1,
    KMS_FILE_ALGORITHM = 1,  /* AES-256-GCM, STREAM, HKDF-SHA-256 */
    KMS_FILE_KEY_BYTES = 32, /* of a data key, and of the key of a file */
    KMS_FILE_SALT_BYTES = 32,
    KMS_FILE_COMMITMENT_BYTES = 32,
    KMS_FILE_TAG_BYTES = 16,
    KMS_FILE_START_BYTES = 42,     /* the header up to and with the length of the wrapped data key */
    KMS_FILE_WRAPPED_BYTES = 1024, /* longest wrapped data key */
    KMS_FILE_EXPONENT_MIN = 10,
    KMS_FILE_EXPONENT_MAX = 20,
};
_Static_assert(KMS_FILE_HEADER_BYTES ==
                   KMS_FILE_START_BYTES + KMS_FILE_WRAPPED_BYTES + KMS_FILE_COMMITMENT_BYTES,
               "the longest header");
#define KMS_FILE_CHUNKS_MAX (UINT64_C(1) << 32)

struct kms_file_header {
    uint8_t bytes[KMS_FILE_HEADER_BYTES];
    size_t len;           /* with the commitment */
    uint32_t chunk_bytes; /* of plaintext */
};

/* The commitment is zero yet. INVALID_ARGUMENT: chunk_bytes is no power of two in bounds, or no such length
 * of a wrapped data key; why says which. */
KMS_MUST_USE kms_err kms_file_header_make(uint32_t chunk_bytes, const uint8_t salt[KMS_FILE_SALT_BYTES],
                                          struct kms_bytes wrapped, struct kms_file_header *ret_header,
                                          struct kms_why *why);
/* How long the header is that begins so. INVALID_CIPHERTEXT: not such a file; why says what is wrong. */
KMS_MUST_USE kms_err kms_file_header_len(struct kms_bytes start, size_t *ret_len, struct kms_why *why);
/* From exactly its bytes. INVALID_CIPHERTEXT as above. */
KMS_MUST_USE kms_err kms_file_header_take(struct kms_bytes bytes, struct kms_file_header *ret_header,
                                          struct kms_why *why);
struct kms_bytes kms_file_wrapped(const struct kms_file_header *header);    /* borrowed */
struct kms_bytes kms_file_commitment(const struct kms_file_header *header); /* borrowed */
void kms_file_commit(struct kms_file_header *header, const uint8_t commitment[KMS_FILE_COMMITMENT_BYTES]);

/* The keys of the file that header begins, its commitment aside. key: locked memory. NO_MEMORY, INTERNAL. */
KMS_MUST_USE kms_err kms_file_derive(const struct kms_file_header *header,
                                     const uint8_t data_key[KMS_FILE_KEY_BYTES],
                                     uint8_t key[KMS_FILE_KEY_BYTES],
                                     uint8_t commitment[KMS_FILE_COMMITMENT_BYTES]);

/* Where things are in a file of a known length. */
struct kms_file_shape {
    uint64_t chunks, plaintext_bytes;
};
/* INVALID_CIPHERTEXT: no file of that format has file_bytes; why says so. */
KMS_MUST_USE kms_err kms_file_shape_of(const struct kms_file_header *header, uint64_t file_bytes,
                                       struct kms_file_shape *ret_shape, struct kms_why *why);
uint64_t kms_file_chunk_at(const struct kms_file_header *header, uint64_t chunk); /* offset in the file */

/* What the header says about itself; shape NULL: the length is not known. */
void kms_file_describe(const struct kms_file_header *header, const struct kms_file_shape *shape,
                       struct kms_file_info *ret_info);

#endif
