/* Key pairs as OpenSSL knows them: made, written and read in DER. Its heap is locked memory here
 * (sandbox.c). */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/secret.h"
#include "hsm/worker/worker.h"

void kms_pair_drop(EVP_PKEY **pair)
{
    EVP_PKEY_free(*pair);
}

static const char *curve_name(unsigned bits)
{
    return bits == 256 ? "P-256" : bits == 384 ? "P-384" : "P-521";
}

kms_err kms_pair_generate(unsigned spec, EVP_PKEY **ret_pair)
{
    const struct kms_spec *row = kms_spec_of(spec);
    EVP_PKEY *pair = row->family == KMS_FAMILY_RSA  ? EVP_RSA_gen(row->bits)
                     : row->family == KMS_FAMILY_EC ? EVP_EC_gen(curve_name(row->bits))
                                                    : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (pair == NULL) return KMS_FAIL(INTERNAL);
    *ret_pair = pair;
    return KMS_OK;
}

kms_err kms_pair_private_der(const EVP_PKEY *pair, uint8_t *der, size_t cap, size_t *ret_len)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair); /* wipes its copy when it is freed */
    if (info == NULL) return KMS_FAIL(INTERNAL);
    int len = i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
    bool fits = len > 0 && (size_t)len <= cap;
    if (fits) len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (!fits) return KMS_FAIL(INTERNAL);
    *ret_len = (size_t)len;
    return KMS_OK;
}

kms_err kms_pair_public_der(const EVP_PKEY *pair, uint8_t *der, size_t *ret_len)
{
    int len = i2d_PUBKEY(pair, NULL);
    if (len <= 0 || len > KMS_HSM_PUBLIC_BYTES || i2d_PUBKEY(pair, &der) != len) return KMS_FAIL(INTERNAL);
    *ret_len = (size_t)len;
    return KMS_OK;
}

static bool is_of(const EVP_PKEY *pair, unsigned spec)
{
    const struct kms_spec *row = kms_spec_of(spec);
    char group[32] = "";
    switch (row->family) {
    case KMS_FAMILY_RSA:
        return EVP_PKEY_is_a(pair, "RSA") && EVP_PKEY_get_bits(pair) == row->bits;
    case KMS_FAMILY_EC:
        return EVP_PKEY_is_a(pair, "EC") && EVP_PKEY_get_group_name(pair, group, sizeof group, NULL) == 1 &&
               OBJ_txt2nid(group) == EC_curve_nist2nid(curve_name(row->bits));
    case KMS_FAMILY_ED:
        return EVP_PKEY_is_a(pair, "ED25519");
    case KMS_FAMILY_AES:
    case KMS_FAMILY_HMAC:
        break;
    }
    return false;
}

/* Takes over pair, which may be NULL. */
static kms_err checked(EVP_PKEY *pair, bool all_read, unsigned spec, EVP_PKEY **ret_pair)
{
    if (pair == NULL || !all_read || !is_of(pair, spec)) {
        EVP_PKEY_free(pair);
        return KMS_FAIL(CORRUPT);
    }
    *ret_pair = pair;
    return KMS_OK;
}

kms_err kms_pair_from_private(unsigned spec, struct kms_bytes der, EVP_PKEY **ret_pair)
{
    const unsigned char *at = der.ptr;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    EVP_PKEY *pair = info != NULL ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return checked(pair, at == der.ptr + der.len, spec, ret_pair);
}

kms_err kms_pair_from_public(unsigned spec, struct kms_bytes der, EVP_PKEY **ret_pair)
{
    const unsigned char *at = der.ptr;
    EVP_PKEY *pair = d2i_PUBKEY(NULL, &at, (long)der.len);
    return checked(pair, at == der.ptr + der.len, spec, ret_pair);
}

static OSSL_PARAM *rsa_params(const struct kms_public_parts *parts, BIGNUM *n, BIGNUM *e)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (build != NULL && BN_bin2bn(parts->modulus, (int)parts->modulus_len, n) != NULL &&
        BN_bin2bn(parts->exponent, (int)parts->exponent_len, e) != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    OSSL_PARAM_BLD_free(build);
    return params;
}

static OSSL_PARAM *ec_params(const struct kms_public_parts *parts, unsigned bits)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve_name(bits), 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, parts->point, parts->point_len) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    OSSL_PARAM_BLD_free(build);
    return params;
}

kms_err kms_pair_from_parts(unsigned spec, const struct kms_public_parts *parts, EVP_PKEY **ret_pair)
{
    const struct kms_spec *row = kms_spec_of(spec);
    bool rsa = row->family == KMS_FAMILY_RSA;
    BIGNUM *n = BN_new(), *e = BN_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, rsa ? "RSA" : "EC", NULL);
    EVP_PKEY *pair = NULL;
    OSSL_PARAM *params = NULL;
    if (n != NULL && e != NULL) params = rsa ? rsa_params(parts, n, e) : ec_params(parts, row->bits);
    if (ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
        kms_ignore(EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_PUBLIC_KEY, params) == 1
                       ? KMS_OK
                       : KMS_FAIL(INTERNAL)); /* pair stays NULL then */
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return kms_failed(checked(pair, true, spec, ret_pair)) ? KMS_FAIL(HSM_UNAVAILABLE) : KMS_OK;
}

/* ---- private keys that were made elsewhere ---- */

static size_t take_number(const EVP_PKEY *pair, const char *name, uint8_t *out, size_t cap)
{
    BIGNUM *number = NULL;
    size_t len = 0;
    if (EVP_PKEY_get_bn_param(pair, name, &number) == 1 && (size_t)BN_num_bytes(number) <= cap)
        len = (size_t)BN_bn2bin(number, out);
    BN_free(number);
    return len;
}

/* How long a number is, without a copy of it; 0: there is none. */
static size_t length_of(const EVP_PKEY *pair, const char *name)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_BN(name, NULL, 0), OSSL_PARAM_construct_end()};
    bool there = EVP_PKEY_get_params(pair, params) == 1 && OSSL_PARAM_modified(params) == 1;
    return there ? params[0].return_size : 0;
}

/* Two primes, a usual public exponent, and a private one that is not longer than the modulus. */
static bool is_usual_rsa(const EVP_PKEY *pair, const struct kms_public_parts *parts)
{
    const uint8_t *e = parts->exponent;
    bool small = parts->exponent_len < 3 || (parts->exponent_len == 3 && e[0] == 1 && e[1] == 0 && e[2] == 0);
    return !small && length_of(pair, OSSL_PKEY_PARAM_RSA_D) <= parts->modulus_len &&
           length_of(pair, OSSL_PKEY_PARAM_RSA_FACTOR3) == 0;
}

static bool rsa_numbers(const EVP_PKEY *pair, struct kms_public_parts *parts)
{
    parts->modulus_len = take_number(pair, OSSL_PKEY_PARAM_RSA_N, parts->modulus, sizeof parts->modulus);
    parts->exponent_len = take_number(pair, OSSL_PKEY_PARAM_RSA_E, parts->exponent, sizeof parts->exponent);
    return parts->modulus_len > 0 && parts->exponent_len > 0 && is_usual_rsa(pair, parts);
}

/* The point, written out; of a curve that was named, not described. */
static bool ec_numbers(const EVP_PKEY *pair, unsigned bits, struct kms_public_parts *parts)
{
    const size_t len = (bits + 7U) / 8;
    uint8_t *at[] = {parts->point + 1, parts->point + 1 + len};
    static const char *const names[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};
    int described = 1;
    bool ok = EVP_PKEY_get_int_param(pair, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &described) == 1;
    for (size_t i = 0; ok && i < 2; i++) {
        BIGNUM *number = NULL;
        ok = EVP_PKEY_get_bn_param(pair, names[i], &number) == 1 &&
             BN_bn2binpad(number, at[i], (int)len) == (int)len;
        BN_free(number);
    }
    parts->point[0] = 0x04;
    parts->point_len = 1 + 2 * len;
    return ok && described == 0;
}

static bool belong_together(EVP_PKEY *pair)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    bool ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1 && EVP_PKEY_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

kms_err kms_pair_vet(EVP_PKEY *pair, unsigned spec, uint8_t *der, size_t *ret_len)
{
    const struct kms_spec *row = kms_spec_of(spec);
    struct kms_public_parts parts = {.modulus_len = 0};
    KMS_OWN_PAIR public_half = NULL;
    if (row->family == KMS_FAMILY_ED)
        return kms_pair_public_der(pair, der, ret_len); /* made from the private */
    bool ok = row->family == KMS_FAMILY_RSA ? rsa_numbers(pair, &parts) : ec_numbers(pair, row->bits, &parts);
    if (!ok || !belong_together(pair)) return KMS_FAIL(INCORRECT_KEY_MATERIAL);
    KMS_TRY(kms_pair_from_parts(spec, &parts, &public_half));
    return kms_pair_public_der(public_half, der, ret_len);
}
