/* Requests by the generated code, packed once. */
#include "tests/bench/load/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/secrets.pb-c.h"

enum { GRPC_PREFIX_BYTES = 5 }; /* a flag "compressed", then the length, big-endian */

static char context_name[] = "tenant", context_value[] = "t-0001";

static kms_err pack(const char *path, const ProtobufCMessage *message, struct load_request *ret,
                    struct kms_why *why)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len > LOAD_MESSAGE_BYTES - GRPC_PREFIX_BYTES) {
        kms_why_set(why, "a request of %zu bytes is too long for this program", len);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    snprintf(ret->path, sizeof ret->path, "/kms.v1.%s", path);
    ret->message[0] = 0;
    for (unsigned i = 1; i < GRPC_PREFIX_BYTES; i++) ret->message[i] = (uint8_t)(len >> (8 * (4 - i)));
    ret->len = GRPC_PREFIX_BYTES + protobuf_c_message_pack(message, ret->message + GRPC_PREFIX_BYTES);
    return KMS_OK;
}

/* count items, each as one Encrypt would be; 0: that one. */
static kms_err make_encrypts(char *key_id, size_t count, struct load_request *ret, struct kms_why *why)
{
    uint8_t plaintext[LOAD_PLAINTEXT_BYTES];
    for (size_t i = 0; i < sizeof plaintext; i++) plaintext[i] = (uint8_t)i;
    Kms__V1__EncryptRequest__EncryptionContextEntry pair;
    Kms__V1__EncryptRequest__EncryptionContextEntry *pairs[] = {&pair};
    Kms__V1__EncryptRequest request;
    kms__v1__encrypt_request__encryption_context_entry__init(&pair);
    kms__v1__encrypt_request__init(&request);
    pair.key = context_name;
    pair.value = context_value;
    request.key_id = key_id;
    request.plaintext = (ProtobufCBinaryData){sizeof plaintext, plaintext};
    request.encryption_context = pairs;
    request.n_encryption_context = 1;
    if (count == 0) return pack("CryptoService/Encrypt", &request.base, ret, why);
    Kms__V1__EncryptBatchRequest batch;
    Kms__V1__EncryptRequest *items[LOAD_BATCH_ITEMS];
    kms__v1__encrypt_batch_request__init(&batch);
    for (size_t i = 0; i < count; i++) items[i] = &request;
    batch.items = items;
    batch.n_items = count;
    return pack("BatchService/EncryptBatch", &batch.base, ret, why);
}

static kms_err make_encrypt(char *key_id, struct kms_bytes ciphertext, struct load_request *ret,
                            struct kms_why *why)
{
    (void)ciphertext;
    return make_encrypts(key_id, 0, ret, why);
}

static kms_err make_encrypt_batch(char *key_id, struct kms_bytes ciphertext, struct load_request *ret,
                                  struct kms_why *why)
{
    (void)ciphertext;
    return make_encrypts(key_id, LOAD_BATCH_ITEMS, ret, why);
}

static kms_err make_decrypt(char *key_id, struct kms_bytes ciphertext, struct load_request *ret,
                            struct kms_why *why)
{
    (void)key_id; /* found from the ciphertext */
    uint8_t blob[LOAD_MESSAGE_BYTES];
    if (ciphertext.len == 0 || ciphertext.len > sizeof blob) {
        kms_why_set(why, "Decrypt needs a ciphertext of at most %zu bytes", sizeof blob);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    kms_copy(blob, ciphertext.ptr, ciphertext.len);
    Kms__V1__DecryptRequest__EncryptionContextEntry pair;
    Kms__V1__DecryptRequest__EncryptionContextEntry *pairs[] = {&pair};
    Kms__V1__DecryptRequest request;
    kms__v1__decrypt_request__encryption_context_entry__init(&pair);
    kms__v1__decrypt_request__init(&request);
    pair.key = context_name;
    pair.value = context_value;
    request.ciphertext_blob = (ProtobufCBinaryData){ciphertext.len, blob};
    request.encryption_context = pairs;
    request.n_encryption_context = 1;
    return pack("CryptoService/Decrypt", &request.base, ret, why);
}

static kms_err make_data_key(char *key_id, struct kms_bytes ciphertext, struct load_request *ret,
                             struct kms_why *why)
{
    (void)ciphertext;
    Kms__V1__GenerateDataKeyRequest__EncryptionContextEntry pair;
    Kms__V1__GenerateDataKeyRequest__EncryptionContextEntry *pairs[] = {&pair};
    Kms__V1__GenerateDataKeyRequest request;
    kms__v1__generate_data_key_request__encryption_context_entry__init(&pair);
    kms__v1__generate_data_key_request__init(&request);
    pair.key = context_name;
    pair.value = context_value;
    request.key_id = key_id;
    request.key_spec = KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_256;
    request.encryption_context = pairs;
    request.n_encryption_context = 1;
    return pack("CryptoService/GenerateDataKey", &request.base, ret, why);
}

static kms_err make_describe(char *key_id, struct kms_bytes ciphertext, struct load_request *ret,
                             struct kms_why *why)
{
    (void)ciphertext;
    Kms__V1__DescribeKeyRequest request;
    kms__v1__describe_key_request__init(&request);
    request.key_id = key_id;
    return pack("KeyService/DescribeKey", &request.base, ret, why);
}

/* Of a secret in place of a key. */
static kms_err make_get_secret(char *secret_id, struct kms_bytes ciphertext, struct load_request *ret,
                               struct kms_why *why)
{
    (void)ciphertext;
    Kms__V1__GetSecretValueRequest request;
    kms__v1__get_secret_value_request__init(&request);
    request.secret_id = secret_id;
    return pack("SecretService/GetSecretValue", &request.base, ret, why);
}

static const struct {
    const char *operation;
    kms_err (*make)(char *key_id, struct kms_bytes ciphertext, struct load_request *ret, struct kms_why *why);
} operations[] = {{"Encrypt", make_encrypt},      {"EncryptBatch", make_encrypt_batch},
                  {"Decrypt", make_decrypt},      {"GenerateDataKey", make_data_key},
                  {"DescribeKey", make_describe}, {"GetSecretValue", make_get_secret}};

kms_err load_request_make(const char *operation, const char *key_id, struct kms_bytes ciphertext,
                          struct load_request *ret_request, struct kms_why *why)
{
    char key[128]; /* protobuf-c wants it writable */
    snprintf(key, sizeof key, "%s", key_id);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(operation, operations[i].operation) == 0)
            return operations[i].make(key, ciphertext, ret_request, why);
    kms_why_set(why, "Encrypt, EncryptBatch, Decrypt, GenerateDataKey, DescribeKey or GetSecretValue, not %s",
                operation);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* Takes the line feeds out of a text of equally long lines. */
static bool read_keys(kms_buf *text, struct load_request *ret)
{
    char *data = (char *)text->data;
    size_t len = text->len > 0 ? strcspn(data, "\n") : 0;
    if (len == 0 || text->len % (len + 1) != 0) return false;
    ret->key_len = len;
    ret->key_count = text->len / (len + 1);
    for (size_t i = 0; i < ret->key_count; i++) {
        if (data[i * (len + 1) + len] != '\n') return false;
        memmove(data + i * len, data + i * (len + 1), len);
    }
    return true;
}

kms_err load_request_make_random(const char *operation, const char *path, struct load_request *ret_request,
                                 struct kms_why *why)
{
    enum { KEYS_BYTES = 256 * 1024 * 1024 };
    KMS_OWN_BUF text = {0};
    char first[128];
    KMS_TRY(kms_read_file(path, KEYS_BYTES, &text, why));
    KMS_TRY(kms_buf_append(&text, "", 1)); /* a NUL for strcspn */
    text.len--;
    bool good = read_keys(&text, ret_request) && ret_request->key_len < sizeof first;
    if (good) {
        snprintf(first, sizeof first, "%.*s", (int)ret_request->key_len, (const char *)text.data);
        KMS_TRY(load_request_make(operation, first, (struct kms_bytes){0}, ret_request, why));
        const uint8_t *at = memmem(ret_request->message, ret_request->len, first, ret_request->key_len);
        good = at != NULL;
        ret_request->key_at = good ? (size_t)(at - ret_request->message) : 0;
    }
    if (!good) {
        kms_why_set(why, "%s: not keys of one length, one a line, for one %s each", path, operation);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    ret_request->keys = (char *)text.data;
    text = (kms_buf){0};
    return KMS_OK;
}

void load_request_free(struct load_request *request)
{
    free(request->keys);
    request->keys = NULL;
}
