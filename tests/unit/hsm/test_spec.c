/* The table of specs and algorithms, and what a token lacks for each kind of key. */
#include "hsm/spec.h"

#include <stdio.h>

#include "tests/harness/suite.h"

static void names_are_there(void)
{
    unsigned specs = 0, algorithms = 0;
    for (unsigned i = 0; i < 256; i++) {
        specs += kms_spec_of(i) != NULL;
        algorithms += kms_algorithm_of(i) != NULL;
    }
    CU_ASSERT_TRUE(specs == 11 && algorithms == 15);
    CU_ASSERT_STRING_EQUAL(kms_spec_of(KMS_SPEC_ED25519)->name, "ECC_NIST_EDWARDS25519");
    CU_ASSERT_STRING_EQUAL(kms_usage_name(KMS_USAGE_GENERATE_VERIFY_MAC), "GENERATE_VERIFY_MAC");
    CU_ASSERT_TRUE(kms_spec_of(0) == NULL && kms_usage_name(0) == NULL && kms_usage_name(4) == NULL);
}

static void algorithms_fit_their_keys(void)
{
    static const struct {
        unsigned algorithm, spec, usage;
        bool fits;
    } rows[] = {
        {KMS_ALGORITHM_RSASSA_PSS_SHA_512, KMS_SPEC_RSA_2048, KMS_USAGE_SIGN_VERIFY, true},
        {KMS_ALGORITHM_RSASSA_PSS_SHA_512, KMS_SPEC_RSA_2048, KMS_USAGE_ENCRYPT_DECRYPT, false},
        {KMS_ALGORITHM_RSAES_OAEP_SHA_256, KMS_SPEC_RSA_4096, KMS_USAGE_ENCRYPT_DECRYPT, true},
        {KMS_ALGORITHM_RSAES_OAEP_SHA_256, KMS_SPEC_RSA_4096, KMS_USAGE_SIGN_VERIFY, false},
        {KMS_ALGORITHM_RSAES_OAEP_SHA_256, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, false},
        {KMS_ALGORITHM_SYMMETRIC_DEFAULT, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, true},
        {KMS_ALGORITHM_ECDSA_SHA_256, KMS_SPEC_EC_P256, KMS_USAGE_SIGN_VERIFY, true},
        {KMS_ALGORITHM_ECDSA_SHA_256, KMS_SPEC_EC_P384, KMS_USAGE_SIGN_VERIFY, false},
        {KMS_ALGORITHM_ECDSA_SHA_512, KMS_SPEC_EC_P521, KMS_USAGE_SIGN_VERIFY, true},
        {KMS_ALGORITHM_ED25519_SHA_512, KMS_SPEC_ED25519, KMS_USAGE_SIGN_VERIFY, true},
        {KMS_ALGORITHM_ED25519_SHA_512, KMS_SPEC_EC_P256, KMS_USAGE_SIGN_VERIFY, false},
        {KMS_ALGORITHM_HMAC_SHA_384, KMS_SPEC_HMAC_384, KMS_USAGE_GENERATE_VERIFY_MAC, true},
        {KMS_ALGORITHM_HMAC_SHA_384, KMS_SPEC_HMAC_512, KMS_USAGE_GENERATE_VERIFY_MAC, false},
        {99, KMS_SPEC_HMAC_512, KMS_USAGE_GENERATE_VERIFY_MAC, false},
        {KMS_ALGORITHM_HMAC_SHA_384, 99, KMS_USAGE_GENERATE_VERIFY_MAC, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_algorithm_fits(rows[i].algorithm, rows[i].spec, rows[i].usage), rows[i].fits);
}

static struct kms_hsm_status able(void)
{
    static const char *const names[] = {"aes-256-gcm", "aes-key-wrap-pad", "unwrap-template", "ed25519-wrap",
                                        "ecdsa-p-256", "ecdsa-p-384",      "ecdsa-p-521",     "rsa-sign",
                                        "rsa-x-509",   "mac-sha-256",      "mac-sha-384",     "mac-sha-512",
                                        "import"};
    struct kms_hsm_status status = {.capability_count = KMS_COUNT(names)};
    for (size_t i = 0; i < KMS_COUNT(names); i++) {
        strcpy(status.capabilities[i].name, names[i]);
        status.capabilities[i].available = true;
    }
    return status;
}

static void lose(struct kms_hsm_status *status, const char *name)
{
    for (unsigned i = 0; i < status->capability_count; i++) {
        if (strcmp(status->capabilities[i].name, name) != 0) continue;
        status->capabilities[i].available = false;
        snprintf(status->capabilities[i].reason, sizeof status->capabilities[i].reason, "no %s", name);
    }
}

/* Each capability that a token lacks takes away the keys that stand on it, and no others. */
static void what_is_missing_is_named(void)
{
    static const struct {
        const char *capability;
        uint8_t spec, usage;
    } rows[] = {
        {"aes-256-gcm", KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT},
        {"rsa-sign", KMS_SPEC_RSA_3072, KMS_USAGE_SIGN_VERIFY},
        {"rsa-x-509", KMS_SPEC_RSA_3072, KMS_USAGE_ENCRYPT_DECRYPT},
        {"ecdsa-p-256", KMS_SPEC_EC_P256, KMS_USAGE_SIGN_VERIFY},
        {"ecdsa-p-384", KMS_SPEC_EC_P384, KMS_USAGE_SIGN_VERIFY},
        {"ecdsa-p-521", KMS_SPEC_EC_P521, KMS_USAGE_SIGN_VERIFY},
        {"mac-sha-256", KMS_SPEC_HMAC_256, KMS_USAGE_GENERATE_VERIFY_MAC},
        {"mac-sha-384", KMS_SPEC_HMAC_384, KMS_USAGE_GENERATE_VERIFY_MAC},
        {"mac-sha-512", KMS_SPEC_HMAC_512, KMS_USAGE_GENERATE_VERIFY_MAC},
    };
    for (size_t lost = 0; lost < KMS_COUNT(rows); lost++) {
        struct kms_hsm_status status = able();
        lose(&status, rows[lost].capability);
        for (size_t i = 0; i < KMS_COUNT(rows); i++) {
            struct kms_key_ref ref = {{{1}}, 1, rows[i].spec, rows[i].usage, KMS_LEVEL_HSM};
            const char *missing = kms_spec_missing(&status, &ref);
            CU_ASSERT_EQUAL(missing != NULL, i == lost);
            if (i == lost) CU_ASSERT_PTR_NOT_NULL(strstr(missing, rows[lost].capability));
            ref.level = KMS_LEVEL_SOFTWARE; /* stands on root-seal alone */
            CU_ASSERT_EQUAL(kms_spec_missing(&status, &ref) != NULL, lost == 0);
        }
    }
}

static void wrapping_is_needed_for_all(void)
{
    struct kms_hsm_status status = able(), none = {0};
    const struct kms_key_ref ref = {{{1}}, 1, KMS_SPEC_EC_P256, KMS_USAGE_SIGN_VERIFY, KMS_LEVEL_HSM};
    lose(&status, "unwrap-template");
    CU_ASSERT_STRING_EQUAL(kms_spec_missing(&status, &ref), "no unwrap-template");
    CU_ASSERT_STRING_EQUAL(kms_spec_missing(&none, &ref), "the token was not tried");
    status = able();
    struct kms_key_ref ed = ref;
    ed.spec = KMS_SPEC_ED25519;
    CU_ASSERT_PTR_NOT_NULL(strstr(kms_spec_missing(&status, &ed), "SOFTWARE"));
    ed.level = KMS_LEVEL_SOFTWARE;
    CU_ASSERT_PTR_NULL(kms_spec_missing(&status, &ed));
    ed.usage = KMS_USAGE_ENCRYPT_DECRYPT;
    CU_ASSERT_STRING_EQUAL(kms_spec_missing(&status, &ed), "no such kind of key");
}

static void import_needs_one_more(void)
{
    struct kms_hsm_status status = able();
    struct kms_key_ref ref = {{{1}}, 1, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, KMS_LEVEL_HSM};
    CU_ASSERT_PTR_NULL(kms_spec_import_missing(&status, &ref));
    lose(&status, "import");
    CU_ASSERT_PTR_NULL(kms_spec_missing(&status, &ref));
    CU_ASSERT_STRING_EQUAL(kms_spec_import_missing(&status, &ref), "no import");
    ref.level = KMS_LEVEL_SOFTWARE;
    CU_ASSERT_PTR_NULL(kms_spec_import_missing(&status, &ref));
    lose(&status, "aes-256-gcm");
    CU_ASSERT_STRING_EQUAL(kms_spec_import_missing(&status, &ref), "no aes-256-gcm");
}

KMS_TEST_MAIN("hsm/spec", {"names are there", names_are_there},
              {"algorithms fit their keys", algorithms_fit_their_keys},
              {"what is missing is named", what_is_missing_is_named},
              {"wrapping is needed for all", wrapping_is_needed_for_all},
              {"import needs one more", import_needs_one_more})
