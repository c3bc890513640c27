/* Public keys of signed heads: ECDSA on P-256 with SHA-256, by OpenSSL. */
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/audit/head.h"

enum { KEYS = 16 };

struct kms_audit_keys {
    size_t count;
    struct one {
        EVP_PKEY *key;
        char id[2 * KMS_DIGEST_BYTES + 1];
    } of[KEYS];
};

kms_err kms_audit_key_id(struct kms_bytes spki, char ret_key_id[2 * KMS_DIGEST_BYTES + 1])
{
    uint8_t digest[KMS_DIGEST_BYTES];
    unsigned len;
    if (EVP_Digest(spki.ptr, spki.len, digest, &len, EVP_sha256(), NULL) != 1) return KMS_FAIL(INTERNAL);
    kms_hex(digest, sizeof digest, ret_key_id);
    return KMS_OK;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[40] = "";
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* Takes over key. */
static kms_err add(kms_audit_keys *keys, EVP_PKEY *key)
{
    uint8_t *der = NULL;
    if (keys->count == KEYS || !is_p256(key)) {
        EVP_PKEY_free(key);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    struct one *one = &keys->of[keys->count++];
    one->key = key;
    int len = i2d_PUBKEY(key, &der);
    kms_err err = len > 0 ? kms_audit_key_id(kms_bytes_of(der, (size_t)len), one->id) : KMS_FAIL(INTERNAL);
    OPENSSL_free(der);
    return err;
}

kms_err kms_audit_keys_from_pem(struct kms_bytes pem, kms_audit_keys **ret_keys)
{
    KMS_OWN(kms_audit_keys) keys = calloc(1, sizeof *keys);
    if (keys == NULL || pem.len > INT32_MAX) return KMS_FAIL(NO_MEMORY);
    BIO *from = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key;
    kms_err err = from != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
    while (!kms_failed(err) && (key = PEM_read_bio_PUBKEY(from, NULL, NULL, NULL)) != NULL)
        err = add(keys, key);
    BIO_free(from);
    KMS_TRY(err);
    if (keys->count == 0) return KMS_FAIL(INVALID_ARGUMENT);
    *ret_keys = KMS_GIVE(keys);
    return KMS_OK;
}

kms_err kms_audit_keys_from_der(struct kms_bytes spki, kms_audit_keys **ret_keys)
{
    const unsigned char *at = spki.ptr;
    KMS_OWN(kms_audit_keys) keys = calloc(1, sizeof *keys);
    if (keys == NULL) return KMS_FAIL(NO_MEMORY);
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.len);
    if (key == NULL) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(add(keys, key));
    *ret_keys = KMS_GIVE(keys);
    return KMS_OK;
}

void kms_audit_keys_free(kms_audit_keys *keys)
{
    for (size_t i = 0; keys != NULL && i < keys->count; i++) EVP_PKEY_free(keys->of[i].key);
    free(keys);
}

void kms_audit_keys_drop(kms_audit_keys **keys)
{
    kms_audit_keys_free(*keys);
}

static bool verifies(EVP_PKEY *key, const char *instance, const struct kms_audit_signed_head *head)
{
    static const char domain[] = KMS_AUDIT_HEAD_DOMAIN;
    char text[KMS_AUDIT_HEAD_TEXT];
    uint8_t signature[KMS_AUDIT_SIGNATURE_TEXT];
    size_t len;
    struct kms_bytes signed_text = kms_audit_head_text(instance, head, text);
    if (!kms_unbase64(kms_bytes_text(head->signature), signature, &len)) return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerifyUpdate(ctx, domain, sizeof domain - 1) == 1 &&
                EVP_DigestVerifyUpdate(ctx, signed_text.ptr, signed_text.len) == 1 &&
                EVP_DigestVerifyFinal(ctx, signature, len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

enum kms_audit_signature kms_audit_keys_check(const kms_audit_keys *keys, const char *instance,
                                              const struct kms_audit_signed_head *head)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->of[i].id, head->key_id) == 0)
            return verifies(keys->of[i].key, instance, head) ? KMS_AUDIT_SIGNATURE_GOOD
                                                             : KMS_AUDIT_SIGNATURE_BAD;
    return KMS_AUDIT_SIGNATURE_OTHER_KEY;
}
