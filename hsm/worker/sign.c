/* Signatures. Digests are computed here, whatever the level; public key operations are OpenSSL's. */
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

enum { HASH_BYTES = 64, ORDER_BYTES = 66 };

static bool is_pss(unsigned algorithm)
{
    return algorithm >= KMS_ALGORITHM_RSASSA_PSS_SHA_256 && algorithm <= KMS_ALGORITHM_RSASSA_PSS_SHA_512;
}

/* The digest that is signed: of the message, or the one that was sent. */
static kms_err digest_of(const struct kms_hsm_job *job, uint8_t memory[HASH_BYTES],
                         struct kms_bytes *ret_digest)
{
    const EVP_MD *md = kms_hash_of(kms_algorithm_of(job->algorithm)->hash);
    unsigned len = 0;
    *ret_digest = job->input;
    if (job->digested) return KMS_OK;
    if (EVP_Digest(job->input.ptr, job->input.len, memory, &len, md, NULL) != 1) return KMS_FAIL(INTERNAL);
    *ret_digest = kms_bytes_of(memory, len);
    return KMS_OK;
}

/* Padding and hash of an RSA algorithm, for signing and verifying alike. */
static bool set_algorithm(EVP_PKEY_CTX *ctx, unsigned algorithm)
{
    const struct kms_algorithm_row *row = kms_algorithm_of(algorithm);
    if (EVP_PKEY_CTX_set_signature_md(ctx, kms_hash_of(row->hash)) != 1) return false;
    if (row->family != KMS_FAMILY_RSA) return true;
    if (!is_pss(algorithm)) return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static kms_err sign_outside(EVP_PKEY *key, struct kms_hsm_job *job, struct kms_bytes digest)
{
    size_t len = job->output_cap;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && set_algorithm(ctx, job->algorithm) &&
              EVP_PKEY_sign(ctx, job->output, &len, digest.ptr, digest.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    job->output_len = len;
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

/* RFC 8032: over the message itself. */
static kms_err sign_ed25519(EVP_PKEY *key, struct kms_hsm_job *job)
{
    size_t len = job->output_cap;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(ctx, job->output, &len, job->input.ptr, job->input.len) == 1;
    EVP_MD_CTX_free(ctx);
    job->output_len = len;
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_ecdsa_der(struct kms_bytes raw, struct kms_hsm_job *job)
{
    int half = (int)(raw.len / 2), len = -1;
    uint8_t *at = job->output;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.ptr, half, NULL), *s = BN_bin2bn(raw.ptr + half, half, NULL);
    if (signature != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(signature, r, s) == 1) {
        r = s = NULL; /* the signature's now */
        len = i2d_ECDSA_SIG(signature, NULL);
        len = len > 0 && (size_t)len <= job->output_cap ? i2d_ECDSA_SIG(signature, &at) : -1;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    if (len <= 0) return KMS_FAIL(INTERNAL);
    job->output_len = (size_t)len;
    return KMS_OK;
}

/* DigestInfo in DER (RFC 8017, 9.2, note 1): the front is the same for each length of digest but for it. */
struct kms_bytes kms_digest_info(struct kms_bytes digest, uint8_t memory[KMS_DIGEST_INFO_BYTES])
{
    static const uint8_t front[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    kms_copy(memory, front, sizeof front);
    memory[1] = (uint8_t)(17 + digest.len);
    memory[14] = digest.len == 32 ? 1 : digest.len == 48 ? 2 : 3; /* id-sha256, id-sha384, id-sha512 */
    memory[18] = (uint8_t)digest.len;
    kms_copy(memory + sizeof front, digest.ptr, digest.len);
    return kms_bytes_of(memory, sizeof front + digest.len);
}

static kms_err sign_in_token(struct kms_worker *w, const struct kms_open_key *key, struct kms_hsm_job *job,
                             struct kms_bytes digest)
{
    const unsigned bits = kms_spec_of(key->spec)->bits;
    struct kms_signing signing = {
        .key = key->object, .hash = kms_algorithm_of(job->algorithm)->hash, .input = digest};
    if (kms_algorithm_of(job->algorithm)->family == KMS_FAMILY_EC) {
        uint8_t raw[2 * ORDER_BYTES];
        struct kms_bytes made = {raw, 2 * ((bits + 7) / 8)};
        signing.how = KMS_SIGNING_ECDSA;
        KMS_TRY(kms_token_sign(w->token, &signing, raw, made.len));
        return kms_ecdsa_der(made, job);
    }
    uint8_t info[KMS_DIGEST_INFO_BYTES];
    signing.how = is_pss(job->algorithm) ? KMS_SIGNING_RSA_PSS : KMS_SIGNING_RSA_PKCS1;
    if (signing.how == KMS_SIGNING_RSA_PKCS1) signing.input = kms_digest_info(digest, info);
    job->output_len = bits / 8;
    return kms_token_sign(w->token, &signing, job->output, job->output_len);
}

kms_err kms_op_sign(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    uint8_t memory[HASH_BYTES];
    struct kms_bytes digest;
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    if (job->algorithm == KMS_ALGORITHM_ED25519_SHA_512)
        return key->private_key != NULL ? sign_ed25519(key->private_key, job) : KMS_FAIL(UNSUPPORTED);
    KMS_TRY(digest_of(job, memory, &digest));
    return key->level == KMS_LEVEL_SOFTWARE ? sign_outside(key->private_key, job, digest)
                                            : sign_in_token(w, key, job, digest);
}

static bool verify_ed25519(EVP_PKEY *key, const struct kms_hsm_job *job)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, job->proof.ptr, job->proof.len, job->input.ptr, job->input.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool verify(EVP_PKEY *key, const struct kms_hsm_job *job, struct kms_bytes digest)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && set_algorithm(ctx, job->algorithm) &&
                EVP_PKEY_verify(ctx, job->proof.ptr, job->proof.len, digest.ptr, digest.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

kms_err kms_op_verify(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    uint8_t memory[HASH_BYTES];
    struct kms_bytes digest;
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    KMS_TRY(digest_of(job, memory, &digest));
    bool good = job->algorithm == KMS_ALGORITHM_ED25519_SHA_512 ? verify_ed25519(key->public_key, job)
                                                                : verify(key->public_key, job, digest);
    return good ? KMS_OK : KMS_FAIL(INVALID_SIGNATURE);
}
