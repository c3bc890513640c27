/* Material from outside, as its owner wraps it, through the import of a worker: every spec at both levels
 * does afterwards what the material does in OpenSSL. */
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "base/secret.h"
#include "tests/harness/suite.h"
#include "tests/unit/hsm/worker/import_fixture.h"

/* ---- the same key on both sides ---- */

static const struct kms_bytes text = {(const uint8_t *)"imported", 8};

static bool gcm_opens(const uint8_t *key, struct kms_bytes sealed)
{
    enum { IV = KMS_GCM_IV_BYTES, TAG = KMS_GCM_TAG_BYTES };
    uint8_t out[64], tag[TAG];
    int len = 0, more = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    kms_copy(tag, sealed.ptr + sealed.len - TAG, TAG);
    bool ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed.ptr) == 1 &&
              EVP_DecryptUpdate(ctx, out, &len, sealed.ptr + IV, (int)(sealed.len - IV - TAG)) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + len, &more) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok && kms_bytes_equal(kms_bytes_of(out, (size_t)len), text);
}

static void symmetric_keys_do_what_openssl_does(void)
{
    static const struct {
        uint8_t spec, algorithm;
    } rows[] = {{KMS_SPEC_AES_256, 0},
                {KMS_SPEC_HMAC_256, KMS_ALGORITHM_HMAC_SHA_256},
                {KMS_SPEC_HMAC_384, KMS_ALGORITHM_HMAC_SHA_384},
                {KMS_SPEC_HMAC_512, KMS_ALGORITHM_HMAC_SHA_512}};
    static struct imported t;
    for (size_t i = 0; i < 4 * KMS_COUNT(rows); i++) {
        const unsigned spec = rows[i / 4].spec;
        const struct kms_key_ref ref = import_ref_of(spec, i % 2 ? KMS_LEVEL_HSM : KMS_LEVEL_SOFTWARE);
        uint8_t secret[64], mac[64];
        const struct kms_bytes material = {secret, kms_spec_of(spec)->bits / 8U};
        CU_ASSERT_EQUAL_FATAL(RAND_bytes(secret, sizeof secret), 1);
        KMS_ASSERT_OK_FATAL(import_material(ref, material, i / 2 % 2, &t));
        import_is_closed(&t);
        if (spec != KMS_SPEC_AES_256) {
            unsigned len;
            HMAC(kms_hash_of(kms_spec_of(spec)->bits), secret, (int)material.len, text.ptr, text.len, mac,
                 &len);
            CU_ASSERT_TRUE(kms_bytes_equal(import_operate(KMS_HSM_MAC, &t, rows[i / 4].algorithm, text),
                                           kms_bytes_of(mac, len)));
        } else if (ref.level == KMS_LEVEL_HSM) {
            CU_ASSERT_TRUE(gcm_opens(secret, import_operate(KMS_HSM_ENCRYPT, &t, 0, text)));
        } else { /* under a key for each message */
            uint8_t sealed[64];
            struct kms_bytes out = import_operate(KMS_HSM_ENCRYPT, &t, 0, text);
            kms_copy(sealed, out.ptr, out.len);
            out = import_operate(KMS_HSM_DECRYPT, &t, 0, kms_bytes_of(sealed, out.len));
            CU_ASSERT_TRUE(kms_bytes_equal(out, text));
        }
    }
}

static bool verifies(EVP_PKEY *pair, const EVP_MD *hash, struct kms_bytes signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(ctx, NULL, hash, NULL, pair) == 1 &&
              EVP_DigestVerify(ctx, signature.ptr, signature.len, text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static void pairs_sign_what_openssl_verifies(void)
{
    static const struct {
        uint8_t spec, algorithm;
        unsigned hash;
    } rows[] = {{KMS_SPEC_RSA_2048, KMS_ALGORITHM_RSASSA_PKCS1_V1_5_SHA_256, 256},
                {KMS_SPEC_RSA_3072, KMS_ALGORITHM_RSASSA_PKCS1_V1_5_SHA_384, 384},
                {KMS_SPEC_RSA_4096, KMS_ALGORITHM_RSASSA_PKCS1_V1_5_SHA_512, 512},
                {KMS_SPEC_EC_P256, KMS_ALGORITHM_ECDSA_SHA_256, 256},
                {KMS_SPEC_EC_P384, KMS_ALGORITHM_ECDSA_SHA_384, 384},
                {KMS_SPEC_EC_P521, KMS_ALGORITHM_ECDSA_SHA_512, 512},
                {KMS_SPEC_ED25519, KMS_ALGORITHM_ED25519_SHA_512, 0}};
    static uint8_t der[KMS_HSM_PRIVATE_BYTES], public_der[KMS_HSM_PUBLIC_BYTES];
    static struct imported t[2];
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        EVP_PKEY *pair = import_pair_of(rows[i].spec);
        const struct kms_bytes material = import_written(pair, der);
        size_t len;
        KMS_ASSERT_OK_FATAL(kms_pair_public_der(pair, public_der, &len));
        for (uint8_t level = KMS_LEVEL_HSM; level <= KMS_LEVEL_SOFTWARE; level++) {
            kms_err err = import_material(import_ref_of(rows[i].spec, level), material, false, &t[level - 1]);
            if (rows[i].spec == KMS_SPEC_ED25519 && level == KMS_LEVEL_HSM) {
                KMS_ASSERT_CODE(err, UNSUPPORTED);
                continue;
            }
            KMS_ASSERT_OK_FATAL(err);
            import_is_closed(&t[level - 1]);
            CU_ASSERT_TRUE(verifies(pair, kms_hash_of(rows[i].hash),
                                    import_operate(KMS_HSM_SIGN, &t[level - 1], rows[i].algorithm, text)));
            CU_ASSERT_TRUE(kms_bytes_equal(import_operate(KMS_HSM_PUBLIC_KEY, &t[level - 1], 0, text),
                                           kms_bytes_of(public_der, len)));
        }
        if (rows[i].spec != KMS_SPEC_ED25519)
            CU_ASSERT_EQUAL(memcmp(t[0].output, t[1].output, KMS_HSM_MARK_BYTES), 0);
    }
}

static void rsa_pairs_decrypt(void)
{
    static uint8_t der[KMS_HSM_PRIVATE_BYTES], cipher[256];
    static struct imported t;
    EVP_PKEY *pair = import_pair_of(KMS_SPEC_RSA_2048);
    for (uint8_t level = KMS_LEVEL_HSM; level <= KMS_LEVEL_SOFTWARE; level++) {
        struct kms_key_ref ref = import_ref_of(KMS_SPEC_RSA_2048, level);
        size_t len = sizeof cipher;
        ref.usage = KMS_USAGE_ENCRYPT_DECRYPT;
        KMS_ASSERT_OK_FATAL(import_material(ref, import_written(pair, der), false, &t));
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
        CU_ASSERT_FATAL(EVP_PKEY_encrypt_init(ctx) == 1 &&
                        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
                        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
                        EVP_PKEY_encrypt(ctx, cipher, &len, text.ptr, text.len) == 1);
        EVP_PKEY_CTX_free(ctx);
        CU_ASSERT_TRUE(
            kms_bytes_equal(import_operate(KMS_HSM_RSA_DECRYPT, &t, KMS_ALGORITHM_RSAES_OAEP_SHA_256,
                                           kms_bytes_of(cipher, len)),
                            text));
    }
}

/* ---- the mark ---- */

/* However the private key is written. */
static void the_mark_knows_the_material(void)
{
    static uint8_t der[KMS_HSM_PRIVATE_BYTES];
    static struct imported usual, other;
    struct kms_key_ref ref = import_ref_of(KMS_SPEC_EC_P256, KMS_LEVEL_HSM);
    EVP_PKEY *pair = EVP_PKEY_dup(import_pair_of(KMS_SPEC_EC_P256));
    KMS_ASSERT_OK_FATAL(import_material(ref, import_written(pair, der), false, &usual));
    CU_ASSERT_EQUAL_FATAL(EVP_PKEY_set_int_param(pair, OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, 0), 1);
    const struct kms_bytes shorter = import_written(pair, der);
    CU_ASSERT_TRUE(shorter.len < 100); /* without the public half */
    KMS_ASSERT_OK_FATAL(import_material(ref, shorter, false, &other));
    CU_ASSERT_EQUAL(memcmp(usual.output, other.output, KMS_HSM_MARK_BYTES), 0);
    CU_ASSERT_TRUE(verifies(pair, EVP_sha256(),
                            import_operate(KMS_HSM_SIGN, &other, KMS_ALGORITHM_ECDSA_SHA_256, text)));
    ref.key_id.bytes[5] = 1;
    KMS_ASSERT_OK_FATAL(
        import_material(ref, import_written(import_pair_of(KMS_SPEC_EC_P256), der), false, &other));
    CU_ASSERT_NOT_EQUAL(memcmp(usual.output, other.output, KMS_HSM_MARK_BYTES), 0);
    EVP_PKEY_free(pair);
}

KMS_TEST_MAIN("hsm/worker/import", {"opens", import_opens},
              {"symmetric keys do what OpenSSL does", symmetric_keys_do_what_openssl_does},
              {"pairs sign what OpenSSL verifies", pairs_sign_what_openssl_verifies},
              {"RSA pairs decrypt", rsa_pairs_decrypt},
              {"the mark knows the material", the_mark_knows_the_material}, {"closes", import_closes})
