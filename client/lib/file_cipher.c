/* AES-256-GCM over chunks, by OpenSSL. */
#include "client/lib/file_cipher.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/secret.h"
#include "base/wire.h"

enum { NONCE_BYTES = 12 };

struct kms_file_cipher {
    EVP_CIPHER_CTX *seal, *open;
};

kms_err kms_file_cipher_new(const uint8_t key[KMS_FILE_KEY_BYTES], kms_file_cipher **ret_cipher)
{
    KMS_OWN(kms_file_cipher) cipher = calloc(1, sizeof *cipher);
    if (cipher == NULL) return KMS_FAIL(NO_MEMORY);
    cipher->seal = EVP_CIPHER_CTX_new();
    cipher->open = EVP_CIPHER_CTX_new();
    if (cipher->seal == NULL || cipher->open == NULL ||
        EVP_EncryptInit_ex(cipher->seal, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
        EVP_DecryptInit_ex(cipher->open, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
        return KMS_FAIL(NO_MEMORY);
    *ret_cipher = KMS_GIVE(cipher);
    return KMS_OK;
}

void kms_file_cipher_free(kms_file_cipher *cipher)
{
    if (cipher == NULL) return;
    EVP_CIPHER_CTX_free(cipher->seal);
    EVP_CIPHER_CTX_free(cipher->open);
    free(cipher);
}

void kms_file_cipher_drop(kms_file_cipher **cipher)
{
    kms_file_cipher_free(*cipher);
}

static void nonce_of(struct kms_file_place place, uint8_t nonce[NONCE_BYTES])
{
    static const uint8_t prefix[3] = {0};
    struct kms_writer w = kms_writer_over(nonce, NONCE_BYTES);
    kms_put_raw(&w, prefix, sizeof prefix);
    kms_put_u64(&w, place.chunk);
    kms_put_u8(&w, place.last);
}

/* A chunk fits an int: at most KMS_FILE_CHUNK_MAX_BYTES. */
kms_err kms_file_seal(kms_file_cipher *cipher, struct kms_file_place place, struct kms_bytes plain,
                      uint8_t *to)
{
    uint8_t nonce[NONCE_BYTES], nothing = 0;
    int len = 0, rest = 0;
    nonce_of(place, nonce);
    const uint8_t *from = plain.len > 0 ? plain.ptr : &nothing;
    if (EVP_EncryptInit_ex(cipher->seal, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(cipher->seal, to, &len, from, (int)plain.len) != 1 ||
        EVP_EncryptFinal_ex(cipher->seal, to + len, &rest) != 1 || (size_t)len != plain.len ||
        EVP_CIPHER_CTX_ctrl(cipher->seal, EVP_CTRL_GCM_GET_TAG, KMS_FILE_TAG_BYTES, to + plain.len) != 1)
        return KMS_FAIL(INTERNAL);
    return KMS_OK;
}

kms_err kms_file_unseal(kms_file_cipher *cipher, struct kms_file_place place, struct kms_bytes sealed,
                        uint8_t *to)
{
    uint8_t nonce[NONCE_BYTES], tag[KMS_FILE_TAG_BYTES];
    const size_t text_len = sealed.len - KMS_FILE_TAG_BYTES;
    int len = 0, rest = 0;
    nonce_of(place, nonce);
    kms_copy(tag, sealed.ptr + text_len, sizeof tag);
    if (EVP_DecryptInit_ex(cipher->open, NULL, NULL, NULL, nonce) == 1 &&
        EVP_DecryptUpdate(cipher->open, to, &len, sealed.ptr, (int)text_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher->open, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1 &&
        EVP_DecryptFinal_ex(cipher->open, to + len, &rest) == 1)
        return KMS_OK;
    kms_wipe(to, text_len);
    return KMS_FAIL(INVALID_CIPHERTEXT);
}
