/* A P-256 key of OpenSSL's. */
#include "tests/unit/kmsd/audit/signer.h"

#include <openssl/pem.h>

#include "base/text.h"
#include "tests/harness/suite.h"

static struct {
    EVP_PKEY *key;
    char pem[1024];
} signer, rsa;

static struct kms_bytes pem_of(EVP_PKEY *key, char *pem, size_t room)
{
    BIO *to = BIO_new(BIO_s_mem());
    CU_ASSERT_EQUAL_FATAL(PEM_write_bio_PUBKEY(to, key), 1);
    int len = BIO_read(to, pem, (int)room - 1);
    CU_ASSERT_FATAL(len > 0);
    pem[len] = '\0';
    BIO_free(to);
    return kms_bytes_text(pem);
}

static void drop_keys(void)
{
    EVP_PKEY_free(signer.key);
    EVP_PKEY_free(rsa.key);
}

void signer_new_key(void)
{
    static bool first = true;
    if (first) atexit(drop_keys);
    first = false;
    EVP_PKEY_free(signer.key);
    signer.key = EVP_EC_gen("P-256");
    CU_ASSERT_PTR_NOT_NULL_FATAL(signer.key);
}

struct kms_bytes signer_pem(void)
{
    if (signer.key == NULL) signer_new_key();
    return pem_of(signer.key, signer.pem, sizeof signer.pem);
}

struct kms_bytes signer_pem_of_rsa(void)
{
    if (rsa.key == NULL) rsa.key = EVP_RSA_gen(2048);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rsa.key);
    return pem_of(rsa.key, rsa.pem, sizeof rsa.pem);
}

static void set_key_id(struct kms_audit_signed_head *head)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(signer.key, &der);
    CU_ASSERT_FATAL(len > 0);
    KMS_ASSERT_OK_FATAL(kms_audit_key_id(kms_bytes_of(der, (size_t)len), head->key_id));
    OPENSSL_free(der);
}

void signer_sign(const char *instance, const struct kms_audit_head *of,
                 struct kms_audit_signed_head *ret_head)
{
    char text[KMS_AUDIT_HEAD_TEXT];
    uint8_t signature[128];
    size_t len = sizeof signature;
    if (signer.key == NULL) signer_new_key();
    *ret_head = (struct kms_audit_signed_head){.sequence = of->sequence};
    kms_copy(ret_head->hash, of->hash[0] != '\0' ? of->hash : kms_audit_no_head.hash, sizeof ret_head->hash);
    set_key_id(ret_head);
    struct kms_bytes rest = kms_audit_head_text(instance, ret_head, text);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CU_ASSERT_FATAL(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer.key) == 1 &&
                    EVP_DigestSignUpdate(ctx, KMS_AUDIT_HEAD_DOMAIN, sizeof KMS_AUDIT_HEAD_DOMAIN - 1) == 1 &&
                    EVP_DigestSignUpdate(ctx, rest.ptr, rest.len) == 1 &&
                    EVP_DigestSignFinal(ctx, signature, &len) == 1);
    EVP_MD_CTX_free(ctx);
    kms_base64(kms_bytes_of(signature, len), ret_head->signature);
}
