/* From a certificate to a principal: its one URI SAN, or its CN where that is allowed (RFC 5280, SPIFFE
 * X.509-SVID). */
#include <ctype.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/digest.h"
#include "kmsd/authn/internal.h"

static X509 *parse_pem(struct kms_bytes pem)
{
    if (pem.len == 0 || pem.len > 64 * 1024) return NULL;
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

/* How many URI SANs; the first one is copied. -1: nobody knows, the extension is damaged or there twice. */
static int uri_names(const X509 *certificate, char *uri, size_t cap)
{
    int count = 0, critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    if (names == NULL && critical != -1) return -1; /* -1: not there */
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) continue;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        size_t len = (size_t)ASN1_STRING_length(text);
        const unsigned char *data = ASN1_STRING_get0_data(text);
        if (count++ == 0 && len < cap && memchr(data, 0, len) == NULL) {
            memcpy(uri, data, len);
            uri[len] = '\0';
        }
    }
    GENERAL_NAMES_free(names);
    return count;
}

static bool common_name(const X509 *certificate, char *name, size_t cap)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false; /* none, or two */
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool ok = len > 0 && (size_t)len < cap && memchr(utf8, 0, (size_t)len) == NULL;
    if (ok) {
        memcpy(name, utf8, (size_t)len);
        name[len] = '\0';
    }
    OPENSSL_free(utf8);
    return ok;
}

static kms_err refuse(struct kms_why *why, const char *cause)
{
    kms_why_set(why, "client certificate: %s", cause);
    return KMS_FAIL(UNAUTHENTICATED);
}

/* The names that this service gives itself cannot come from a certificate's URI. */
static bool reserved_scheme(const char *uri)
{
    return strncasecmp(uri, "cn:", 3) == 0 || strncasecmp(uri, "unix:", 5) == 0;
}

static kms_err principal_of(const kms_authn *authn, const X509 *certificate, char name[KMS_PRINCIPAL_BYTES],
                            const char **ret_source, struct kms_why *why)
{
    name[0] = '\0';
    int uris = uri_names(certificate, name, KMS_PRINCIPAL_BYTES);
    if (uris < 0) return refuse(why, "its subject alternative name is damaged, or there twice");
    if (uris > 1) return refuse(why, "more than one URI in its subject alternative name");
    if (uris == 1 && name[0] == '\0')
        return refuse(why, "the URI in its subject alternative name is too long or has a NUL");
    if (uris == 1 && reserved_scheme(name))
        return refuse(why, "URIs with the scheme \"cn\" or \"unix\" are reserved");
    *ret_source = "mtls-uri";
    if (uris == 1) return KMS_OK;
    if (!authn->options.allow_cn)
        return refuse(why, "no URI in its subject alternative name (and authn.allow_cn is off)");
    memcpy(name, "cn:", 3);
    if (!common_name(certificate, name + 3, KMS_PRINCIPAL_BYTES - 3))
        return refuse(why, "neither a URI nor exactly one common name");
    *ret_source = "mtls-cn";
    return KMS_OK;
}

/* False: longer than RFC 5280, section 4.1.2.2, allows (20 bytes); the deny list could not name it. */
static bool fill_serial(const X509 *certificate, kms_identity *identity)
{
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = serial != NULL ? BN_bn2hex(serial) : NULL;
    bool fits = hex != NULL && strlen(hex) < sizeof identity->serial;
    for (size_t i = 0; fits && hex[i] != '\0'; i++)
        identity->serial[i] = (char)tolower((unsigned char)hex[i]);
    OPENSSL_free(hex);
    BN_free(serial);
    return fits;
}

static kms_err fill(const X509 *certificate, kms_identity *identity, struct kms_why *why)
{
    struct tm tm;
    unsigned char digest[KMS_DIGEST_BYTES];
    unsigned len = 0;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return refuse(why, "the end of its validity is unreadable");
    time_t not_after = timegm(&tm);
    identity->not_after_us = not_after > 0 ? (uint64_t)not_after * 1000000 : 1;
    if (!fill_serial(certificate, identity))
        return refuse(why, "its serial number is too long (RFC 5280: 20 bytes)");
    if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1 || len != sizeof digest)
        return KMS_FAIL(INTERNAL);
    kms_hex(digest, sizeof digest, identity->fingerprint);
    return KMS_OK;
}

kms_err kms_identity_of_certificate(kms_authn *authn, struct kms_bytes pem, kms_identity **ret_identity,
                                    struct kms_why *why)
{
    X509 *certificate = parse_pem(pem);
    if (certificate == NULL) return refuse(why, "unreadable, or none was sent");
    char name[KMS_PRINCIPAL_BYTES];
    const char *source = NULL;
    KMS_OWN(kms_identity) identity = NULL;
    kms_err err = principal_of(authn, certificate, name, &source, why);
    if (!kms_failed(err)) err = kms_identity_new(authn, kms_bytes_text(name), source, &identity, why);
    if (!kms_failed(err)) err = fill(certificate, identity, why);
    X509_free(certificate);
    if (!kms_failed(err)) *ret_identity = KMS_GIVE(identity);
    return err;
}
