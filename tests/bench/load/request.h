/* The one request that a target is sent again and again. Immutable once made. */
#ifndef KMS_LOAD_REQUEST_H
#define KMS_LOAD_REQUEST_H

#include "base/bytes.h"

enum { LOAD_PLAINTEXT_BYTES = 32, LOAD_BATCH_ITEMS = 32, LOAD_MESSAGE_BYTES = 4096, LOAD_PATH_BYTES = 64 };

struct load_request {
    char path[LOAD_PATH_BYTES];          /* "/kms.v1.CryptoService/Encrypt" */
    uint8_t message[LOAD_MESSAGE_BYTES]; /* with gRPC's 5 bytes in front */
    size_t len;                          /* of message */
};

/*
 * operation: Encrypt (32 bytes), EncryptBatch (LOAD_BATCH_ITEMS of these), Decrypt (of ciphertext),
 * GenerateDataKey (AES_256), each with the encryption context tenant=t-0001; GetSecretValue, for which
 * key_id is the name of a secret. Errors: INVALID_ARGUMENT.
 */
KMS_MUST_USE kms_err load_request_make(const char *operation, const char *key_id, struct kms_bytes ciphertext,
                                       struct load_request *ret_request, struct kms_why *why);

#endif
