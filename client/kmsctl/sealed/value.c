/* Seals and opens single values. */
#include "client/kmsctl/sealed/value.h"

#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/secret.h"

enum { LENGTH_BYTES = 2, TAG_BYTES = 16, SMALLEST_MODULUS = 2048 / 8, LARGEST_MODULUS = 8192 / 8 };
static const uint8_t no_nonce[12];

kms_err ctl_sealed_split(struct kms_bytes data, struct ctl_sealed *ret_sealed, struct kms_why *why)
{
    if (data.len < LENGTH_BYTES) {
        kms_why_set(why, "it is cut off: a sealed value begins with two bytes of length");
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    const size_t session = (size_t)data.ptr[0] << 8 | data.ptr[1];
    if (session < SMALLEST_MODULUS || session > LARGEST_MODULUS) {
        kms_why_set(why, "it is no sealed value: no RSA key makes %zu bytes", session);
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    if (data.len < LENGTH_BYTES + session + TAG_BYTES) {
        kms_why_set(why, "it is cut off: %zu bytes, at least %zu expected", data.len,
                    LENGTH_BYTES + session + TAG_BYTES);
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    ret_sealed->session = kms_bytes_of(data.ptr + LENGTH_BYTES, session);
    ret_sealed->box = kms_bytes_of(data.ptr + LENGTH_BYTES + session, data.len - LENGTH_BYTES - session);
    return KMS_OK;
}

static bool set_oaep(EVP_PKEY_CTX *ctx, struct kms_bytes label)
{
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1)
        return false;
    void *own = label.len > 0 ? OPENSSL_memdup(label.ptr, label.len) : NULL; /* the context frees it */
    if (label.len == 0 || (own != NULL && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, own, (int)label.len) == 1))
        return true;
    OPENSSL_free(own);
    return false;
}

/* out has room for a modulus. */
static bool seal_session(EVP_PKEY *to, struct kms_bytes label, kms_secret *session, uint8_t *out)
{
    size_t len = (size_t)EVP_PKEY_get_size(to);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(to, NULL);
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 && set_oaep(ctx, label) &&
              EVP_PKEY_encrypt(ctx, out, &len, kms_secret_data(session), CTL_SESSION_KEY_BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* out has room for the plaintext and a tag. */
static bool encrypt(const uint8_t *key, struct kms_bytes plaintext, uint8_t *out)
{
    int len = 0, more = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok =
        ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, no_nonce) == 1 &&
        (plaintext.len == 0 || EVP_EncryptUpdate(ctx, out, &len, plaintext.ptr, (int)plaintext.len) == 1) &&
        EVP_EncryptFinal_ex(ctx, out + len, &more) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + plaintext.len) == 1;
    EVP_CIPHER_CTX_free(ctx); /* wipes the key schedule */
    return ok;
}

static bool decrypt(const uint8_t *key, struct kms_bytes box, uint8_t *out)
{
    const int plain = (int)(box.len - TAG_BYTES);
    int len = 0, more = 0;
    void *tag = (void *)(uintptr_t)(box.ptr + plain); /* only read */
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, no_nonce) == 1 &&
              (plain == 0 || EVP_DecryptUpdate(ctx, out, &len, box.ptr, plain) == 1) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + len, &more) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

kms_err ctl_sealed_make(EVP_PKEY *to, struct kms_bytes label, struct kms_bytes plaintext, kms_buf *out)
{
    KMS_OWN(kms_secret) session = NULL;
    uint8_t sealed[LARGEST_MODULUS];
    const int modulus = EVP_PKEY_get_size(to);
    if (modulus > LARGEST_MODULUS || plaintext.len > CTL_SEALED_VALUE_BYTES)
        return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(kms_secret_new(CTL_SESSION_KEY_BYTES, &session));
    KMS_TRY(kms_random(kms_secret_data(session), CTL_SESSION_KEY_BYTES));
    if (!seal_session(to, label, session, sealed)) return KMS_FAIL(INTERNAL);
    const uint8_t length[LENGTH_BYTES] = {(uint8_t)(modulus >> 8), (uint8_t)modulus};
    KMS_TRY(kms_buf_append(out, length, sizeof length));
    KMS_TRY(kms_buf_append(out, sealed, (size_t)modulus));
    const size_t box_len = plaintext.len + TAG_BYTES;
    uint8_t *box = malloc(box_len);
    kms_err err = box == NULL ? KMS_FAIL(NO_MEMORY) : KMS_OK;
    if (box != NULL && !encrypt(kms_secret_data(session), plaintext, box)) err = KMS_FAIL(INTERNAL);
    if (!kms_failed(err)) err = kms_buf_append(out, box, box_len);
    free(box);
    return err;
}

kms_err ctl_sealed_open(const struct ctl_sealed *sealed, struct kms_bytes session_key,
                        struct ctl_data *ret_plaintext)
{
    if (session_key.len != CTL_SESSION_KEY_BYTES || sealed->box.len < TAG_BYTES ||
        sealed->box.len - TAG_BYTES > CTL_SEALED_VALUE_BYTES)
        return KMS_FAIL(INVALID_CIPHERTEXT);
    KMS_TRY(ctl_data_new(sealed->box.len, ret_plaintext));
    if (!decrypt(session_key.ptr, sealed->box, ret_plaintext->memory)) {
        ctl_data_free(ret_plaintext);
        return KMS_FAIL(INVALID_CIPHERTEXT);
    }
    ret_plaintext->bytes.len = sealed->box.len - TAG_BYTES;
    return KMS_OK;
}
