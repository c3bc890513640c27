/* Reads the certificate of a sealing key. Who signed it is not asked: one trusts the file, as kubeseal
 * does. */
#include "client/kmsctl/sealed/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

enum { LEAST_BITS = 2048 };

static X509 *parse(struct kms_bytes pem)
{
    BIO *bio = pem.len > 0 ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

static kms_err check(X509 *certificate, EVP_PKEY *key, time_t now, struct kms_why *why)
{
    struct tm end = {0};
    if (key == NULL || !EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_get_bits(key) < LEAST_BITS) {
        kms_why_set(why, "the certificate is not of an RSA key of %d bits or more", LEAST_BITS);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    const ASN1_TIME *not_after = X509_get0_notAfter(certificate);
    if (ASN1_TIME_to_tm(not_after, &end) == 1 && ASN1_TIME_cmp_time_t(not_after, now) >= 0) return KMS_OK;
    kms_why_set(why, "the certificate ended on %04d-%02d-%02d: get one of the current sealing key",
                end.tm_year + 1900, end.tm_mon + 1, end.tm_mday);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err ctl_certificate_key(struct kms_bytes pem, uint64_t now_s, EVP_PKEY **ret_key, struct kms_why *why)
{
    X509 *certificate = parse(pem);
    if (certificate == NULL) {
        kms_why_set(why, "there is no certificate in PEM");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    EVP_PKEY *key = X509_get_pubkey(certificate);
    kms_err err = check(certificate, key, (time_t)now_s, why);
    X509_free(certificate);
    if (kms_failed(err))
        EVP_PKEY_free(key);
    else
        *ret_key = key;
    return err;
}
