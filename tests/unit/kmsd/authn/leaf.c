/* Certificates by OpenSSL. */
#include "tests/unit/kmsd/authn/leaf.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness/suite.h"

static void must(bool ok)
{
    if (ok) return;
    fprintf(stderr, "leaf: OpenSSL refused\n");
    exit(2);
}

static void add_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    must(name != NULL && text != NULL && ASN1_STRING_set(text, data, (int)len) == 1);
    GENERAL_NAME_set0_value(name, type, text);
    must(sk_GENERAL_NAME_push(names, name) > 0);
}

static void add_san(X509 *cert, const struct leaf *leaf)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    must(names != NULL);
    if (leaf->dns != NULL) add_name(names, GEN_DNS, leaf->dns, strlen(leaf->dns));
    for (size_t i = 0; i < 3 && leaf->uris[i].ptr != NULL; i++)
        add_name(names, GEN_URI, leaf->uris[i].ptr, leaf->uris[i].len);
    for (int i = 0; i < (leaf->san_twice ? 2 : 1) && sk_GENERAL_NAME_num(names) > 0; i++)
        must(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1);
    GENERAL_NAMES_free(names);
}

static void add_damaged_san(X509 *cert)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    must(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x30\x05zz", 4) == 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
}

static void set_serial(X509 *cert, const char *hex)
{
    BIGNUM *number = NULL;
    must(BN_hex2bn(&number, hex) > 0 && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
    BN_free(number);
}

void leaf_pem(const struct leaf *leaf, char pem[LEAF_PEM_BYTES])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *out = BIO_new(BIO_s_mem());
    must(key != NULL && cert != NULL && out != NULL);
    must(X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, key) == 1);
    set_serial(cert, leaf->serial_hex != NULL ? leaf->serial_hex : "1");
    X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
    X509_gmtime_adj(X509_getm_notAfter(cert), leaf->expires_in_s != 0 ? leaf->expires_in_s : 3600);
    for (size_t i = 0; i < 3 && leaf->common_names[i] != NULL; i++)
        must(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                        (const unsigned char *)leaf->common_names[i], -1, -1, 0) == 1);
    add_san(cert, leaf);
    if (leaf->san_damaged) add_damaged_san(cert);
    must(X509_sign(cert, key, EVP_sha256()) > 0 && PEM_write_bio_X509(out, cert) == 1);
    int len = BIO_read(out, pem, LEAF_PEM_BYTES - 1);
    must(len > 0);
    pem[len] = '\0';
    BIO_free(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

kms_authn *authn_with(const struct kms_authn_options *options)
{
    kms_authn *authn = NULL;
    struct kms_authn_options all = *options;
    if (all.deny_list == NULL) all.deny_list = "";
    if (all.in_flight_per_principal == 0) all.in_flight_per_principal = 8;
    KMS_ASSERT_OK_FATAL(kms_authn_new(&all, &authn, NULL));
    return authn;
}
