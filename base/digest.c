/* Two OpenSSL ways to a 32-byte digest behind one handle. */
#include "base/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

struct kms_digest {
    EVP_MD *md; /* plain */
    EVP_MD_CTX *md_ctx;
    EVP_MAC *mac; /* keyed */
    EVP_MAC_CTX *mac_ctx;
};

kms_err kms_digest_new(kms_digest **ret_digest)
{
    KMS_OWN(kms_digest) d = calloc(1, sizeof *d);
    if (d == NULL) return KMS_FAIL(NO_MEMORY);
    d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->md_ctx = EVP_MD_CTX_new();
    if (d->md == NULL || d->md_ctx == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_digest = KMS_GIVE(d);
    return KMS_OK;
}

kms_err kms_digest_new_keyed(struct kms_bytes key, kms_digest **ret_digest)
{
    KMS_OWN(kms_digest) d = calloc(1, sizeof *d);
    if (d == NULL) return KMS_FAIL(NO_MEMORY);
    char sha256[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                           OSSL_PARAM_construct_end()};
    d->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    d->mac_ctx = d->mac != NULL ? EVP_MAC_CTX_new(d->mac) : NULL;
    if (d->mac_ctx == NULL || EVP_MAC_init(d->mac_ctx, key.ptr, key.len, params) != 1)
        return KMS_FAIL(NO_MEMORY);
    *ret_digest = KMS_GIVE(d);
    return KMS_OK;
}

static bool run_plain(kms_digest *d, const struct kms_bytes *parts, size_t count, uint8_t *out)
{
    if (EVP_DigestInit_ex2(d->md_ctx, d->md, NULL) != 1) return false;
    for (size_t i = 0; i < count; i++)
        if (EVP_DigestUpdate(d->md_ctx, parts[i].ptr, parts[i].len) != 1) return false;
    return EVP_DigestFinal_ex(d->md_ctx, out, NULL) == 1;
}

static bool run_keyed(kms_digest *d, const struct kms_bytes *parts, size_t count, uint8_t *out)
{
    size_t len = 0;
    if (EVP_MAC_init(d->mac_ctx, NULL, 0, NULL) != 1) return false; /* the key stays */
    for (size_t i = 0; i < count; i++)
        if (EVP_MAC_update(d->mac_ctx, parts[i].ptr, parts[i].len) != 1) return false;
    return EVP_MAC_final(d->mac_ctx, out, &len, KMS_DIGEST_BYTES) == 1 && len == KMS_DIGEST_BYTES;
}

kms_err kms_digest_run(kms_digest *d, const struct kms_bytes *parts, size_t count,
                       uint8_t ret_digest[KMS_DIGEST_BYTES])
{
    bool ok =
        d->mac_ctx != NULL ? run_keyed(d, parts, count, ret_digest) : run_plain(d, parts, count, ret_digest);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_sha256_hex(struct kms_bytes data, char ret_hex[2 * KMS_DIGEST_BYTES + 1])
{
    KMS_OWN(kms_digest) digest = NULL;
    uint8_t out[KMS_DIGEST_BYTES];
    KMS_TRY(kms_digest_new(&digest));
    KMS_TRY(kms_digest_run(digest, &data, 1, out));
    kms_hex(out, sizeof out, ret_hex);
    return KMS_OK;
}

void kms_digest_free(kms_digest *d)
{
    if (d == NULL) return;
    EVP_MD_CTX_free(d->md_ctx);
    EVP_MD_free(d->md);
    EVP_MAC_CTX_free(d->mac_ctx);
    EVP_MAC_free(d->mac);
    free(d);
}

void kms_digest_drop(kms_digest **d)
{
    kms_digest_free(*d);
}
