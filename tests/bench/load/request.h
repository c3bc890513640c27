/* The request that a target is sent again and again, always the same or with another key each time.
 * Immutable once made. */
#ifndef KMS_LOAD_REQUEST_H
#define KMS_LOAD_REQUEST_H

#include "base/bytes.h"

enum {
    LOAD_PLAINTEXT_BYTES = 32, /* unless something else is asked for */
    LOAD_PLAINTEXT_MOST = 65536,
    LOAD_PAIRS_MOST = 64, /* of encryption context */
    LOAD_BATCH_ITEMS = 32,
    LOAD_MESSAGE_BYTES = 80 << 10,
    LOAD_PATH_BYTES = 64
};

/* What a request says. */
struct load_ask {
    const char *operation, *key_id;
    struct kms_bytes ciphertext; /* for Decrypt */
    unsigned plaintext_bytes;    /* for Encrypt; up to LOAD_PLAINTEXT_MOST */
    unsigned pairs;              /* of encryption context, up to LOAD_PAIRS_MOST; 0: tenant=t-0001 */
};

struct load_request {
    char path[LOAD_PATH_BYTES];          /* "/kms.v1.CryptoService/Encrypt" */
    uint8_t message[LOAD_MESSAGE_BYTES]; /* with gRPC's 5 bytes in front */
    size_t len;                          /* of message */
    /* Of a target that picks a key at random for each call: where it stands in the message, and all keys, one
     * behind the other. */
    size_t key_at, key_len, key_count; /* key_count 0: always the same */
    char *keys;                        /* owned */
};

/*
 * operation: Encrypt (of plaintext_bytes), EncryptBatch (LOAD_BATCH_ITEMS of these), Decrypt (of
 * ciphertext), GenerateDataKey (AES_256), each with an encryption context; DescribeKey; GetSecretValue, for
 * which key_id is the name of a secret. Errors: INVALID_ARGUMENT.
 */
KMS_MUST_USE kms_err load_request_make(const struct load_ask *ask, struct load_request *ret_request,
                                       struct kms_why *why);
/* The same with the keys of a file, one a line, all of the same length. Free it with load_request_free. */
KMS_MUST_USE kms_err load_request_make_random(const struct load_ask *ask, const char *path,
                                              struct load_request *ret_request, struct kms_why *why);
void load_request_free(struct load_request *request);
/* Puts one of its keys into a copy of the message, by a random number. */
static inline void load_request_choose(const struct load_request *request, uint64_t random, uint8_t *message)
{
    const char *key = request->keys + random % request->key_count * request->key_len;
    kms_copy(message + request->key_at, key, request->key_len);
}

#endif
