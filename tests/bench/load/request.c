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

enum { NAME_BYTES = 16, VALUE_BYTES = 101 }; /* of many pairs */

/* The texts of an encryption context; protobuf-c wants them writable. */
struct context {
    size_t count;
    char names[LOAD_PAIRS_MOST][NAME_BYTES], values[LOAD_PAIRS_MOST][VALUE_BYTES];
};

static void make_context(const struct load_ask *ask, struct context *context)
{
    *context = (struct context){.count = 1, .names = {"tenant"}, .values = {"t-0001"}};
    if (ask->pairs == 0) return;
    context->count = ask->pairs;
    for (size_t i = 0; i < context->count; i++) {
        snprintf(context->names[i], NAME_BYTES, "name-%02u", (unsigned)i % 100);
        snprintf(context->values[i], VALUE_BYTES, "%0*zu", VALUE_BYTES - 1, i);
    }
}

/* The generated map entries are alike but for their type. */
#define PUT_CONTEXT(TYPE, init, context, request)                                                            \
    TYPE entries[LOAD_PAIRS_MOST], *list[LOAD_PAIRS_MOST];                                                   \
    for (size_t i_ = 0; i_ < (context)->count; i_++) {                                                       \
        init(&entries[i_]);                                                                                  \
        entries[i_].key = (context)->names[i_];                                                              \
        entries[i_].value = (context)->values[i_];                                                           \
        list[i_] = &entries[i_];                                                                             \
    }                                                                                                        \
    (request)->encryption_context = list;                                                                    \
    (request)->n_encryption_context = (context)->count

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
static kms_err make_encrypts(const struct load_ask *ask, char *key_id, size_t count, struct load_request *ret,
                             struct kms_why *why)
{
    static uint8_t plaintext[LOAD_PLAINTEXT_MOST];
    struct context context;
    for (size_t i = 0; i < sizeof plaintext; i++) plaintext[i] = (uint8_t)i;
    Kms__V1__EncryptRequest request;
    kms__v1__encrypt_request__init(&request);
    make_context(ask, &context);
    PUT_CONTEXT(Kms__V1__EncryptRequest__EncryptionContextEntry,
                kms__v1__encrypt_request__encryption_context_entry__init, &context, &request);
    request.key_id = key_id;
    request.plaintext = (ProtobufCBinaryData){ask->plaintext_bytes, plaintext};
    if (count == 0) return pack("CryptoService/Encrypt", &request.base, ret, why);
    Kms__V1__EncryptBatchRequest batch;
    Kms__V1__EncryptRequest *items[LOAD_BATCH_ITEMS];
    kms__v1__encrypt_batch_request__init(&batch);
    for (size_t i = 0; i < count; i++) items[i] = &request;
    batch.items = items;
    batch.n_items = count;
    return pack("BatchService/EncryptBatch", &batch.base, ret, why);
}

static kms_err make_encrypt(const struct load_ask *ask, char *key_id, struct load_request *ret,
                            struct kms_why *why)
{
    return make_encrypts(ask, key_id, 0, ret, why);
}

static kms_err make_encrypt_batch(const struct load_ask *ask, char *key_id, struct load_request *ret,
                                  struct kms_why *why)
{
    return make_encrypts(ask, key_id, LOAD_BATCH_ITEMS, ret, why);
}

static kms_err make_decrypt(const struct load_ask *ask, char *key_id, struct load_request *ret,
                            struct kms_why *why)
{
    (void)key_id; /* found from the ciphertext */
    static uint8_t blob[LOAD_MESSAGE_BYTES];
    struct context context;
    if (ask->ciphertext.len == 0 || ask->ciphertext.len > sizeof blob) {
        kms_why_set(why, "Decrypt needs a ciphertext of at most %zu bytes", sizeof blob);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    kms_copy(blob, ask->ciphertext.ptr, ask->ciphertext.len);
    Kms__V1__DecryptRequest request;
    kms__v1__decrypt_request__init(&request);
    make_context(ask, &context);
    PUT_CONTEXT(Kms__V1__DecryptRequest__EncryptionContextEntry,
                kms__v1__decrypt_request__encryption_context_entry__init, &context, &request);
    request.ciphertext_blob = (ProtobufCBinaryData){ask->ciphertext.len, blob};
    return pack("CryptoService/Decrypt", &request.base, ret, why);
}

static kms_err make_data_key(const struct load_ask *ask, char *key_id, struct load_request *ret,
                             struct kms_why *why)
{
    struct context context;
    Kms__V1__GenerateDataKeyRequest request;
    kms__v1__generate_data_key_request__init(&request);
    make_context(ask, &context);
    PUT_CONTEXT(Kms__V1__GenerateDataKeyRequest__EncryptionContextEntry,
                kms__v1__generate_data_key_request__encryption_context_entry__init, &context, &request);
    request.key_id = key_id;
    request.key_spec = KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_256;
    return pack("CryptoService/GenerateDataKey", &request.base, ret, why);
}

static kms_err make_describe(const struct load_ask *ask, char *key_id, struct load_request *ret,
                             struct kms_why *why)
{
    (void)ask;
    Kms__V1__DescribeKeyRequest request;
    kms__v1__describe_key_request__init(&request);
    request.key_id = key_id;
    return pack("KeyService/DescribeKey", &request.base, ret, why);
}

/* Of a secret in place of a key. */
static kms_err make_get_secret(const struct load_ask *ask, char *secret_id, struct load_request *ret,
                               struct kms_why *why)
{
    (void)ask;
    Kms__V1__GetSecretValueRequest request;
    kms__v1__get_secret_value_request__init(&request);
    request.secret_id = secret_id;
    return pack("SecretService/GetSecretValue", &request.base, ret, why);
}

static const struct {
    const char *operation;
    kms_err (*make)(const struct load_ask *ask, char *key_id, struct load_request *ret, struct kms_why *why);
} operations[] = {{"Encrypt", make_encrypt},      {"EncryptBatch", make_encrypt_batch},
                  {"Decrypt", make_decrypt},      {"GenerateDataKey", make_data_key},
                  {"DescribeKey", make_describe}, {"GetSecretValue", make_get_secret}};

kms_err load_request_make(const struct load_ask *ask, struct load_request *ret_request, struct kms_why *why)
{
    char key[128]; /* protobuf-c wants it writable */
    snprintf(key, sizeof key, "%s", ask->key_id);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(ask->operation, operations[i].operation) == 0)
            return operations[i].make(ask, key, ret_request, why);
    kms_why_set(why, "Encrypt, EncryptBatch, Decrypt, GenerateDataKey, DescribeKey or GetSecretValue, not %s",
                ask->operation);
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

kms_err load_request_make_random(const struct load_ask *ask, const char *path,
                                 struct load_request *ret_request, struct kms_why *why)
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
        struct load_ask of_first = *ask;
        of_first.key_id = first;
        KMS_TRY(load_request_make(&of_first, ret_request, why));
        const uint8_t *at = memmem(ret_request->message, ret_request->len, first, ret_request->key_len);
        good = at != NULL;
        ret_request->key_at = good ? (size_t)(at - ret_request->message) : 0;
    }
    if (!good) {
        kms_why_set(why, "%s: not keys of one length, one a line, for one %s each", path, ask->operation);
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
