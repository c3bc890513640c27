/*
 * SOFTWARE level. For each message: N, 16 random bytes, gives the key
 *     K = HMAC-SHA-256(backing key, u32 1 || "kmsd.aes-256-gcm.v1" || 0x00 || N || u32 256)
 * (SP 800-108r1, section 4.1, counter mode, one block), which encrypts under a 12-byte random IV. No two
 * messages share a key in practice, so the limit of 2^32 messages under one GCM key (SP 800-38D, 8.3) is
 * never near.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

enum { N_BYTES = 16, IV_BYTES = KMS_GCM_IV_BYTES, TAG_BYTES = KMS_GCM_TAG_BYTES };

struct kms_software {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *seal, *open; /* prepared once: a message sets key and IV */
    uint8_t *key;                /* 32 bytes of locked memory */
    struct kms_nonces nonces;    /* N and IV */
};

static kms_err fill_nonces(void *source, uint8_t *to, size_t len)
{
    (void)source;
    return RAND_bytes(to, (int)len) == 1 ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_software_new(kms_software **ret_software)
{
    kms_software *s = calloc(1, sizeof *s);
    if (s == NULL) return KMS_FAIL(NO_MEMORY);
    s->nonces.fill = fill_nonces;
    s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    s->seal = EVP_CIPHER_CTX_new();
    s->open = EVP_CIPHER_CTX_new();
    s->key = kms_locked_alloc(KMS_DIGEST_BYTES);
    bool ok = s->cipher != NULL && s->seal != NULL && s->open != NULL && s->key != NULL;
    ok = ok && EVP_EncryptInit_ex2(s->seal, s->cipher, NULL, NULL, NULL) == 1;
    ok = ok && EVP_DecryptInit_ex2(s->open, s->cipher, NULL, NULL, NULL) == 1;
    if (!ok) {
        kms_software_free(s);
        return KMS_FAIL(NO_MEMORY);
    }
    *ret_software = s;
    return KMS_OK;
}

void kms_software_free(kms_software *software)
{
    if (software == NULL) return;
    EVP_CIPHER_CTX_free(software->seal);
    EVP_CIPHER_CTX_free(software->open);
    EVP_CIPHER_free(software->cipher);
    kms_locked_free(software->key, KMS_DIGEST_BYTES);
    free(software);
}

static kms_err derive(kms_software *s, kms_digest *backing, const uint8_t *n)
{
    static const uint8_t before[] = "\0\0\0\1kmsd.aes-256-gcm.v1"; /* its NUL is the 0x00 */
    static const uint8_t after[] = {0, 0, 1, 0};
    const struct kms_bytes parts[] = {{before, sizeof before}, {n, N_BYTES}, {after, sizeof after}};
    return kms_digest_run(backing, parts, 3, s->key);
}

static bool update(EVP_CIPHER_CTX *ctx, bool seal, uint8_t *out, struct kms_bytes in)
{
    int len;
    if (in.len == 0) return true;
    return seal ? EVP_EncryptUpdate(ctx, out, &len, in.ptr, (int)in.len) == 1
                : EVP_DecryptUpdate(ctx, out, &len, in.ptr, (int)in.len) == 1;
}

kms_err kms_software_seal(kms_software *software, kms_digest *backing, struct kms_bytes aad,
                          struct kms_bytes input, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = software->seal;
    uint8_t *iv = out + N_BYTES, *body = iv + IV_BYTES;
    int len;
    KMS_TRY(kms_nonces_take(&software->nonces, NULL, out, N_BYTES + IV_BYTES));
    KMS_TRY(derive(software, backing, out));
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, software->key, iv, NULL) == 1 && update(ctx, true, NULL, aad) &&
              update(ctx, true, body, input) && EVP_EncryptFinal_ex(ctx, body + input.len, &len) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, body + input.len) == 1;
    kms_wipe(software->key, KMS_DIGEST_BYTES);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_software_open(kms_software *software, kms_digest *backing, struct kms_bytes aad,
                          struct kms_bytes input, uint8_t *out)
{
    if (input.len < KMS_SEAL_OVERHEAD_SOFTWARE) return KMS_FAIL(INVALID_CIPHERTEXT);
    EVP_CIPHER_CTX *ctx = software->open;
    const uint8_t *iv = input.ptr + N_BYTES;
    const struct kms_bytes body = {iv + IV_BYTES, input.len - KMS_SEAL_OVERHEAD_SOFTWARE};
    uint8_t tag[TAG_BYTES], nothing[1];
    int len;
    kms_copy(tag, body.ptr + body.len, TAG_BYTES);
    KMS_TRY(derive(software, backing, input.ptr));
    bool ready = EVP_DecryptInit_ex2(ctx, NULL, software->key, iv, NULL) == 1 &&
                 update(ctx, false, NULL, aad) && update(ctx, false, out, body) &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1;
    kms_wipe(software->key, KMS_DIGEST_BYTES);
    if (!ready) return KMS_FAIL(INTERNAL);
    if (EVP_DecryptFinal_ex(ctx, nothing, &len) == 1) return KMS_OK;
    kms_wipe(out, body.len);
    return KMS_FAIL(INVALID_CIPHERTEXT);
}
