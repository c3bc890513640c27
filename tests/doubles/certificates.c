/* Certificates by OpenSSL. */
#include "tests/doubles/certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bool ok)
{
    if (ok) return;
    fprintf(stderr, "certificates: OpenSSL refused\n");
    exit(2);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *unsigned_certificate(const char *common_name, EVP_PKEY *key)
{
    static long serial = 1;
    X509 *cert = X509_new();
    must(cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, key) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL);
    must(X509_gmtime_adj(X509_getm_notAfter(cert), 60 * 60) != NULL);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                    (const unsigned char *)common_name, -1, -1, 0) == 1);
    return cert;
}

static void sign(X509 *cert, EVP_PKEY *own_key, const struct certificate *issuer)
{
    EVP_PKEY *key = own_key;
    X509 *ca = NULL;
    if (issuer != NULL) {
        BIO *key_bio = BIO_new_mem_buf(issuer->key_pem, -1),
            *cert_bio = BIO_new_mem_buf(issuer->cert_pem, -1);
        key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
        ca = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
        BIO_free(key_bio);
        BIO_free(cert_bio);
        must(key != NULL && ca != NULL);
    }
    must(X509_set_issuer_name(cert, X509_get_subject_name(ca != NULL ? ca : cert)) == 1);
    must(X509_sign(cert, key, EVP_sha256()) > 0);
    if (issuer != NULL) EVP_PKEY_free(key);
    X509_free(ca);
}

static void to_text(BIO *bio, char text[PEM_BYTES])
{
    int len = BIO_read(bio, text, PEM_BYTES - 1);
    must(len > 0 && len < PEM_BYTES - 1);
    text[len] = '\0';
    BIO_free(bio);
}

void certificate_make(const char *common_name, const char *san, const struct certificate *issuer,
                      struct certificate *ret_certificate)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key != NULL);
    X509 *cert = unsigned_certificate(common_name, key);
    if (issuer == NULL) add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    if (san != NULL) add_extension(cert, NID_subject_alt_name, san);
    sign(cert, key, issuer);
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(cert_bio, cert) == 1);
    must(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    to_text(cert_bio, ret_certificate->cert_pem);
    to_text(key_bio, ret_certificate->key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
}
