/* The published vectors (tests/vectors): the worker opens those of algorithm 2 and refuses the bad ones with
 * their error; those of algorithm 1, which a token opens, are opened here as it does. */
#include <jansson.h>
#include <openssl/evp.h>

#include "base/ciphertext.h"
#include "hsm/worker/worker.h"
#include "tests/harness/suite.h"

static const char *text(const json_t *vector, const char *name)
{
    return json_string_value(json_object_get(vector, name));
}

static size_t bytes(const json_t *vector, const char *name, uint8_t *to, size_t cap)
{
    const char *hex = text(vector, name);
    size_t len = hex != NULL ? strlen(hex) / 2 : 0;
    CU_ASSERT_FATAL(hex != NULL && len <= cap && kms_unhex(hex, strlen(hex), to, len));
    return len;
}

/* Header of the blob, then the context of the vector in canonical form. */
static void additional_data(const json_t *vector, const uint8_t *blob, kms_buf *aad)
{
    struct kms_context_pair pairs[KMS_CONTEXT_PAIRS_MAX];
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(vector, "context"), name, value) pairs[count++] =
        (struct kms_context_pair){kms_bytes_text(name), kms_bytes_text(json_string_value(value))};
    KMS_ASSERT_OK_FATAL(kms_buf_append(aad, blob, KMS_CIPHERTEXT_HEADER_BYTES));
    KMS_ASSERT_OK_FATAL(kms_context_canonical(pairs, count, aad, NULL));
}

enum { IV_BYTES = 12, TAG_BYTES = 16 };

/* CKM_AES_GCM with the backing key itself. False: the tag does not fit. */
static bool open_as_a_token(const uint8_t key[32], struct kms_bytes aad, struct kms_bytes sealed,
                            uint8_t *out)
{
    int len = 0, text_len = (int)(sealed.len - IV_BYTES - TAG_BYTES);
    const uint8_t *text = sealed.ptr + IV_BYTES;
    uint8_t tag[TAG_BYTES];
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    memcpy(tag, text + text_len, sizeof tag);
    CU_ASSERT_FATAL(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed.ptr) == 1);
    CU_ASSERT_FATAL(EVP_DecryptUpdate(ctx, NULL, &len, aad.ptr, (int)aad.len) == 1);
    CU_ASSERT_FATAL(EVP_DecryptUpdate(ctx, out, &len, text, text_len) == 1);
    CU_ASSERT_FATAL(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1);
    bool ok = EVP_DecryptFinal_ex(ctx, out + len, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static kms_err open_vector(kms_software *software, const json_t *vector, uint8_t *out, size_t *ret_len)
{
    uint8_t key[32], blob[512];
    KMS_OWN_BUF aad = {0};
    KMS_OWN(kms_digest) backing = NULL;
    struct kms_ciphertext_header header;
    struct kms_bytes sealed;
    CU_ASSERT_EQUAL_FATAL(bytes(vector, "backing_key", key, sizeof key), sizeof key);
    size_t len = bytes(vector, "ciphertext", blob, sizeof blob);
    KMS_TRY(kms_ciphertext_parse(kms_bytes_of(blob, len), &header, &sealed, NULL));
    additional_data(vector, blob, &aad);
    if (header.algorithm == KMS_ALG_AES_256_GCM) {
        *ret_len = sealed.len - IV_BYTES - TAG_BYTES;
        return open_as_a_token(key, kms_buf_view(&aad), sealed, out) ? KMS_OK : KMS_FAIL(INVALID_CIPHERTEXT);
    }
    KMS_TRY(kms_digest_new_keyed(kms_bytes_of(key, sizeof key), &backing));
    *ret_len = sealed.len - KMS_SEAL_OVERHEAD_SOFTWARE;
    return kms_software_open(software, backing, kms_buf_view(&aad), sealed, out);
}

static unsigned each(const char *file, bool good)
{
    json_error_t error;
    json_t *vectors = json_load_file(file, 0, &error), *vector;
    size_t i;
    unsigned opened = 0;
    kms_software *software = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(vectors);
    KMS_ASSERT_OK_FATAL(kms_software_new(&software));
    json_array_foreach(vectors, i, vector)
    {
        uint8_t out[512], want[512];
        size_t len = 0;
        kms_err err = open_vector(software, vector, out, &len);
        opened++;
        if (good) {
            KMS_ASSERT_OK(err);
            CU_ASSERT_EQUAL_FATAL(bytes(vector, "plaintext", want, sizeof want), len);
            CU_ASSERT_EQUAL(memcmp(out, want, len), 0);
        } else {
            CU_ASSERT_STRING_EQUAL(kms_err_reason(err), text(vector, "error"));
        }
    }
    kms_software_free(software);
    json_decref(vectors);
    return opened;
}

static void good_ones_open(void)
{
    CU_ASSERT(each(KMS_VECTORS "/good/sealed.json", true) >= 6);
}
static void bad_ones_are_refused(void)
{
    CU_ASSERT(each(KMS_VECTORS "/bad/sealed.json", false) >= 10);
}

KMS_TEST_MAIN("hsm/worker vectors", {"good ones open", good_ones_open},
              {"bad ones are refused", bad_ones_are_refused})
