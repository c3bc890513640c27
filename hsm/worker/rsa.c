/*
 * RSAES-OAEP with SHA-256 (RFC 8017, 7.1); the label is the job's aad. Tokens may refuse it (SoftHSM 2.6.1
 * does): there the token does the bare private operation and the padding is checked here, label and all, by
 * OpenSSL, whose check takes the same time whatever is wrong. One error for everything.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the padding check alone has no successor in OpenSSL 3 */
#include <openssl/rsa.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

/* The context owns its label. */
static bool set_label(EVP_PKEY_CTX *ctx, struct kms_bytes label)
{
    if (label.len == 0) return true;
    void *own = OPENSSL_memdup(label.ptr, label.len);
    if (own != NULL && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, own, (int)label.len) == 1) return true;
    OPENSSL_free(own);
    return false;
}

static bool set_oaep(EVP_PKEY_CTX *ctx, struct kms_bytes label)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 && set_label(ctx, label);
}

kms_err kms_op_rsa_encrypt(struct kms_worker *w, struct kms_hsm_job *job)
{
    enum { OAEP_BYTES = 2 * 32 + 2 };
    const struct kms_open_key *key;
    const size_t modulus = kms_spec_of(job->key.ref.spec)->bits / 8U;
    size_t len = job->output_cap;
    if (job->input.len == 0 || job->input.len > modulus - OAEP_BYTES) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->public_key, NULL);
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 && set_oaep(ctx, job->aad) &&
              EVP_PKEY_encrypt(ctx, job->output, &len, job->input.ptr, job->input.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    job->output_len = len;
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_rsa_open(EVP_PKEY *key, struct kms_bytes label, struct kms_bytes input, uint8_t *out, size_t cap,
                     size_t *ret_len)
{
    size_t len = cap;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ready = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 && set_oaep(ctx, label);
    bool opened = ready && EVP_PKEY_decrypt(ctx, out, &len, input.ptr, input.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ready) return KMS_FAIL(INTERNAL);
    if (!opened) return KMS_FAIL(INVALID_CIPHERTEXT);
    *ret_len = len;
    return KMS_OK;
}

/* A number that is not below the modulus is no ciphertext; tokens answer it each in a way of their own. */
static bool below_modulus(const EVP_PKEY *key, struct kms_bytes number)
{
    BIGNUM *n = NULL, *c = BN_bin2bn(number.ptr, (int)number.len, NULL);
    bool below = c != NULL && EVP_PKEY_get_bn_param(key, "n", &n) == 1 && BN_ucmp(c, n) < 0;
    BN_free(n);
    BN_free(c);
    return below;
}

static kms_err decrypt_in_token(struct kms_worker *w, const struct kms_open_key *key, struct kms_hsm_job *job)
{
    const size_t modulus = job->input.len;
    if (!below_modulus(key->public_key, job->input)) return KMS_FAIL(INVALID_CIPHERTEXT);
    KMS_TRY(kms_token_rsa_private(w->token, key->object, job->input, w->scratch));
    /* The leading zero byte belongs to the padding: the check wants to see it. */
    int len = RSA_padding_check_PKCS1_OAEP_mgf1(job->output, (int)job->output_cap, w->scratch, (int)modulus,
                                                (int)modulus, job->aad.ptr, (int)job->aad.len, EVP_sha256(),
                                                EVP_sha256());
    kms_wipe(w->scratch, modulus);
    if (len < 0) return KMS_FAIL(INVALID_CIPHERTEXT);
    job->output_len = (size_t)len;
    return KMS_OK;
}

kms_err kms_op_rsa_decrypt(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    if (job->input.len != kms_spec_of(job->key.ref.spec)->bits / 8U) return KMS_FAIL(INVALID_CIPHERTEXT);
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    if (key->level != KMS_LEVEL_SOFTWARE) return decrypt_in_token(w, key, job);
    return kms_rsa_open(key->private_key, job->aad, job->input, job->output, job->output_cap,
                        &job->output_len);
}
