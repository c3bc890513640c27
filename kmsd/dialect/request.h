/* Requests of ours as dialects make them. They lie in the arena of the call and become its request. */
#ifndef KMS_DIALECT_REQUEST_H
#define KMS_DIALECT_REQUEST_H

#include "kmsd/dialect/dialect.h"

/* An encryption context as a foreign request, or its door, has it. */
struct kms_foreign_context {
    size_t count;
    const char *(*text)(const void *user, size_t i,
                        bool value); /* the name, or the value; outlives the call */
    const void *user;
};

/* Both borrow key and data. NO_MEMORY. */
KMS_MUST_USE kms_err kms_dialect_encrypt(struct kms_call *call, const char *key,
                                         ProtobufCBinaryData plaintext,
                                         const struct kms_foreign_context *context);
KMS_MUST_USE kms_err kms_dialect_decrypt(struct kms_call *call, const char *key,
                                         ProtobufCBinaryData ciphertext_blob,
                                         const struct kms_foreign_context *context);

#endif
