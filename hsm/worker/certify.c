/*
 * Self-signed certificates (RFC 5280) of RSA keys that decrypt, for programs that encrypt to a certificate.
 * Such a key signs nothing else. So that it cannot be made to, the whole text that is signed is written
 * here, out of a name and two dates, about the key itself; nobody hands in what is to be signed.
 */
#include <openssl/x509v3.h>

#include "base/secret.h"
#include "base/text.h"
#include "hsm/worker/worker.h"

typedef X509 *owned_x509;
static void owned_x509_free(owned_x509 *x)
{
    X509_free(*x);
}

struct terms {
    uint64_t from_s, to_s;
    struct kms_bytes name;
};

static bool read_terms(struct kms_bytes input, struct terms *ret_terms)
{
    static const uint64_t year_9999_s = 253402300799;
    struct kms_reader in = kms_reader_over(input);
    struct terms t = {.from_s = kms_get_u64(&in), .to_s = kms_get_u64(&in), .name = kms_get_blob(&in)};
    *ret_terms = t;
    return kms_reader_done(&in) && t.from_s < t.to_s && t.to_s <= year_9999_s && t.name.len > 0 &&
           t.name.len <= KMS_HSM_NAME_BYTES && kms_utf8_valid(t.name);
}

/* Positive, and of one length: what is before the random bits is fixed. */
static kms_err set_serial(struct kms_worker *w, X509 *x)
{
    uint8_t serial[16];
    KMS_TRY(kms_token_random(w->token, serial, sizeof serial));
    serial[0] = (serial[0] & 0x3f) | 0x40;
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL;
    BN_free(number);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

static bool set_names(X509 *x, struct kms_bytes name)
{
    X509_NAME *subject = X509_get_subject_name(x);
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, name.ptr, (int)name.len, -1,
                                      0) == 1 &&
           X509_set_issuer_name(x, subject) == 1;
}

/* No CA, for keyEncipherment alone, and a key identifier: the front of a digest (RFC 7093, 2, method 1). */
static bool add_extensions(X509 *x)
{
    enum { KEY_ENCIPHERMENT = 2, IDENTIFIER_BYTES = 20 };
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len;
    BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    ASN1_OCTET_STRING *identifier = ASN1_OCTET_STRING_new();
    bool ok = basic != NULL && usage != NULL && identifier != NULL &&
              X509_pubkey_digest(x, EVP_sha256(), digest, &len) == 1 &&
              ASN1_OCTET_STRING_set(identifier, digest, IDENTIFIER_BYTES) == 1 &&
              ASN1_BIT_STRING_set_bit(usage, KEY_ENCIPHERMENT, 1) == 1 &&
              X509_add1_ext_i2d(x, NID_basic_constraints, basic, 1, X509V3_ADD_DEFAULT) == 1 &&
              X509_add1_ext_i2d(x, NID_key_usage, usage, 1, X509V3_ADD_DEFAULT) == 1 &&
              X509_add1_ext_i2d(x, NID_subject_key_identifier, identifier, 0, X509V3_ADD_DEFAULT) == 1;
    BASIC_CONSTRAINTS_free(basic);
    ASN1_BIT_STRING_free(usage);
    ASN1_OCTET_STRING_free(identifier);
    return ok;
}

/* EMSA-PKCS1-v1_5 (RFC 8017, 9.2) of a digest with SHA-256. */
static void pad(struct kms_bytes digest, uint8_t *block, size_t modulus)
{
    uint8_t memory[KMS_DIGEST_INFO_BYTES];
    struct kms_bytes info = kms_digest_info(digest, memory);
    block[0] = 0;
    block[1] = 1;
    for (size_t i = 2; i < modulus - info.len - 1; i++) block[i] = 0xff;
    block[modulus - info.len - 1] = 0;
    kms_copy(block + modulus - info.len, info.ptr, info.len);
}

static kms_err digest_of_text(X509 *x, uint8_t digest[KMS_DIGEST_BYTES])
{
    uint8_t *der = NULL;
    unsigned digest_len;
    int len = i2d_re_X509_tbs(x, &der);
    bool ok = len > 0 && EVP_Digest(der, (size_t)len, digest, &digest_len, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

/* The key may do the bare private operation only, so the padding is ours. X509 hands its parts out as const,
 * since it usually fills them itself. */
static kms_err sign_in_token(struct kms_worker *w, const struct kms_open_key *key, X509 *x)
{
    const size_t modulus = kms_spec_of(key->spec)->bits / 8U;
    uint8_t digest[KMS_DIGEST_BYTES], block[KMS_HSM_SIGNATURE_BYTES], signature[KMS_HSM_SIGNATURE_BYTES];
    const ASN1_BIT_STRING *value;
    const X509_ALGOR *outer;
    X509_get0_signature(&value, &outer, x);
    ASN1_OBJECT *algorithm = OBJ_nid2obj(NID_sha256WithRSAEncryption);
    if (X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)X509_get0_tbs_sigalg(x), algorithm, V_ASN1_NULL, NULL) !=
            1 ||
        X509_ALGOR_set0((X509_ALGOR *)(uintptr_t)outer, algorithm, V_ASN1_NULL, NULL) != 1)
        return KMS_FAIL(INTERNAL);
    KMS_TRY(digest_of_text(x, digest));
    pad(kms_bytes_of(digest, sizeof digest), block, modulus);
    KMS_TRY(kms_token_rsa_private(w->token, key->object, kms_bytes_of(block, modulus), signature));
    ASN1_BIT_STRING *bits = (ASN1_BIT_STRING *)(uintptr_t)value;
    if (ASN1_STRING_set(bits, signature, (int)modulus) != 1) return KMS_FAIL(INTERNAL);
    bits->flags =
        (bits->flags & ~0x07) | ASN1_STRING_FLAG_BITS_LEFT; /* no bits of its last byte are unused */
    return KMS_OK;
}

static kms_err fill(struct kms_worker *w, const struct kms_open_key *key, const struct terms *terms, X509 *x)
{
    KMS_TRY(set_serial(w, x));
    bool ok = X509_set_version(x, X509_VERSION_3) == 1 &&
              ASN1_TIME_set(X509_getm_notBefore(x), (time_t)terms->from_s) != NULL &&
              ASN1_TIME_set(X509_getm_notAfter(x), (time_t)terms->to_s) != NULL &&
              set_names(x, terms->name) && X509_set_pubkey(x, key->public_key) == 1 && add_extensions(x);
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_op_certify(struct kms_worker *w, struct kms_hsm_job *job)
{
    const struct kms_open_key *key;
    struct terms terms;
    __attribute__((cleanup(owned_x509_free))) owned_x509 x = X509_new();
    if (x == NULL) return KMS_FAIL(NO_MEMORY);
    if (!read_terms(job->input, &terms)) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    KMS_TRY(fill(w, key, &terms, x));
    if (key->level != KMS_LEVEL_SOFTWARE)
        KMS_TRY(sign_in_token(w, key, x));
    else if (X509_sign(x, key->private_key, EVP_sha256()) <= 0)
        return KMS_FAIL(INTERNAL);
    /* A signature that a fault has spoilt can tell the private key. */
    if (X509_verify(x, key->public_key) != 1) return KMS_FAIL(INTERNAL);
    int len = i2d_X509(x, NULL);
    uint8_t *at = job->output;
    if (len <= 0 || (size_t)len > job->output_cap || i2d_X509(x, &at) != len) return KMS_FAIL(INTERNAL);
    job->output_len = (size_t)len;
    return KMS_OK;
}
