/* Sealed values: those of another implementation open, ours open with the private key, and nothing damaged
 * does. */
#include "client/kmsctl/sealed/value.h"

#include <jansson.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/suite.h"

static json_t *vectors;
static EVP_PKEY *pair;

static size_t bytes_of(const json_t *of, const char *name, uint8_t *to, size_t room)
{
    const char *hex = json_string_value(json_object_get(of, name));
    const size_t len = hex != NULL ? strlen(hex) / 2 : 0;
    CU_ASSERT_TRUE_FATAL(hex != NULL && len <= room && kms_unhex(hex, 2 * len, to, len));
    return len;
}

static void reads_the_vectors(void)
{
    static uint8_t der[2048];
    vectors = json_load_file(KMS_VECTORS "/sealed_secrets.json", 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vectors);
    const uint8_t *at = der;
    pair = d2i_AutoPrivateKey(NULL, &at, (long)bytes_of(vectors, "private_key", der, sizeof der));
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair);
}

/* What the service does. */
static bool session_of(struct kms_bytes label, struct kms_bytes sealed, uint8_t *session, size_t *ret_len)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    void *own = label.len > 0 ? OPENSSL_memdup(label.ptr, label.len) : NULL;
    *ret_len = 256;
    bool ok = EVP_PKEY_decrypt_init(ctx) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
              (own == NULL || EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, own, (int)label.len) == 1) &&
              EVP_PKEY_decrypt(ctx, session, ret_len, sealed.ptr, sealed.len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static void opens(struct kms_bytes sealed, struct kms_bytes label, struct kms_bytes plaintext)
{
    uint8_t session[256];
    size_t session_len;
    struct kms_why why = {{0}};
    struct ctl_sealed parts;
    CTL_OWN_DATA opened = {0};
    KMS_ASSERT_OK_FATAL(ctl_sealed_split(sealed, &parts, &why));
    CU_ASSERT_TRUE_FATAL(session_of(label, parts.session, session, &session_len));
    KMS_ASSERT_OK_FATAL(ctl_sealed_open(&parts, kms_bytes_of(session, session_len), &opened));
    CU_ASSERT_TRUE(kms_bytes_equal(plaintext, opened.bytes));
}

static void values_of_another_open(void)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(vectors, "cases"), i, one)
    {
        static uint8_t sealed[4096], plaintext[4096];
        const struct kms_bytes whole = {sealed, bytes_of(one, "sealed", sealed, sizeof sealed)};
        opens(whole, kms_bytes_text(json_string_value(json_object_get(one, "label"))),
              kms_bytes_of(plaintext, bytes_of(one, "plaintext", plaintext, sizeof plaintext)));
    }
    CU_ASSERT_EQUAL(i, 12);
}

static void our_values_open(void)
{
    static uint8_t zeros[1024 * 1024]; /* more than a kms_secret holds */
    const size_t sizes[] = {0, 1, 15, 16, 17, sizeof zeros};
    const char *const labels[] = {"", "prod", "prod/mail"};
    for (size_t i = 0; i < KMS_COUNT(sizes) * KMS_COUNT(labels); i++) {
        KMS_OWN_BUF sealed = {0};
        const struct kms_bytes plaintext = {zeros, sizes[i / 3]}, label = kms_bytes_text(labels[i % 3]);
        KMS_ASSERT_OK_FATAL(ctl_sealed_make(pair, label, plaintext, &sealed));
        CU_ASSERT_EQUAL(sealed.len, 2 + 256 + plaintext.len + 16);
        opens(kms_buf_view(&sealed), label, plaintext);
    }
}

static void every_cut_and_change_is_refused(void)
{
    const json_t *one = json_array_get(json_object_get(vectors, "cases"), 2);
    uint8_t sealed[400], session[32];
    const size_t len = bytes_of(one, "sealed", sealed, sizeof sealed);
    struct kms_bytes key = {session, bytes_of(one, "session", session, sizeof session)};
    struct ctl_sealed parts;
    for (size_t cut = 0; cut < len; cut++) {
        struct kms_why why = {{0}};
        CTL_OWN_DATA opened = {0};
        kms_err err = ctl_sealed_split(kms_bytes_of(sealed, cut), &parts, &why);
        CU_ASSERT_TRUE(kms_failed(err) == (why.text[0] != '\0'));
        if (!kms_failed(err)) err = ctl_sealed_open(&parts, key, &opened);
        KMS_ASSERT_CODE(err, INVALID_CIPHERTEXT);
    }
    for (size_t at = 2 + 256; at < len; at++) {
        CTL_OWN_DATA opened = {0};
        sealed[at] ^= 1;
        KMS_ASSERT_OK_FATAL(ctl_sealed_split(kms_bytes_of(sealed, len), &parts, NULL));
        KMS_ASSERT_CODE(ctl_sealed_open(&parts, key, &opened), INVALID_CIPHERTEXT);
        sealed[at] ^= 1;
    }
    key.len = 16; /* AES-128 is not what kubeseal makes */
    CTL_OWN_DATA opened = {0};
    KMS_ASSERT_OK_FATAL(ctl_sealed_split(kms_bytes_of(sealed, len), &parts, NULL));
    KMS_ASSERT_CODE(ctl_sealed_open(&parts, key, &opened), INVALID_CIPHERTEXT);
}

static void ends(void)
{
    EVP_PKEY_free(pair);
    json_decref(vectors);
}

KMS_TEST_MAIN("client/kmsctl/sealed/value", {"reads the vectors", reads_the_vectors},
              {"values of another implementation open", values_of_another_open},
              {"our values open", our_values_open},
              {"every cut and change is refused", every_cut_and_change_is_refused}, {"ends", ends})
