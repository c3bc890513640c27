/* AES-256-GCM. */
#include "base/aead.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/secret.h"

/* Fetched once: EVP_aes_256_gcm() is looked up anew by each use. Kept until the process ends. */
static EVP_CIPHER *cipher;
static void fetch(void)
{
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static EVP_CIPHER_CTX *new_context(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
    return cipher != NULL ? EVP_CIPHER_CTX_new() : NULL;
}

/* OpenSSL counts in int. */
static bool fits(struct kms_bytes aad, struct kms_bytes text)
{
    return aad.len <= INT_MAX && text.len <= INT_MAX;
}

kms_err kms_aead_seal(const uint8_t key[KMS_AEAD_KEY_BYTES], const uint8_t iv[KMS_AEAD_IV_BYTES],
                      struct kms_bytes aad, struct kms_bytes plaintext, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = new_context();
    int len;
    if (ctx == NULL) return KMS_FAIL(NO_MEMORY);
    bool ok =
        fits(aad, plaintext) && EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL) == 1 &&
        (aad.len == 0 || EVP_EncryptUpdate(ctx, NULL, &len, aad.ptr, (int)aad.len) == 1) &&
        (plaintext.len == 0 || EVP_EncryptUpdate(ctx, out, &len, plaintext.ptr, (int)plaintext.len) == 1) &&
        EVP_EncryptFinal_ex(ctx, out + plaintext.len, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, KMS_AEAD_TAG_BYTES, out + plaintext.len) == 1;
    EVP_CIPHER_CTX_free(ctx); /* wipes the key schedule */
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_aead_open(const uint8_t key[KMS_AEAD_KEY_BYTES], const uint8_t iv[KMS_AEAD_IV_BYTES],
                      struct kms_bytes aad, struct kms_bytes sealed, uint8_t *out)
{
    if (sealed.len < KMS_AEAD_TAG_BYTES || !fits(aad, sealed)) return KMS_FAIL(INVALID_CIPHERTEXT);
    EVP_CIPHER_CTX *ctx = new_context();
    size_t body = sealed.len - KMS_AEAD_TAG_BYTES;
    uint8_t tag[KMS_AEAD_TAG_BYTES], nothing[1];
    int len;
    if (ctx == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(tag, sealed.ptr + body, sizeof tag);
    bool ready = EVP_DecryptInit_ex2(ctx, cipher, key, iv, NULL) == 1 &&
                 (aad.len == 0 || EVP_DecryptUpdate(ctx, NULL, &len, aad.ptr, (int)aad.len) == 1) &&
                 (body == 0 || EVP_DecryptUpdate(ctx, out, &len, sealed.ptr, (int)body) == 1) &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, KMS_AEAD_TAG_BYTES, tag) == 1;
    bool good = ready && EVP_DecryptFinal_ex(ctx, nothing, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (good) return KMS_OK;
    kms_wipe(out, body);
    return ready ? KMS_FAIL(INVALID_CIPHERTEXT) : KMS_FAIL(INTERNAL);
}
