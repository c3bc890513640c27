/* What a worker does not import: another kind of key, damaged numbers, another wrapping. */
#include <openssl/core_names.h>

#include "tests/harness/suite.h"
#include "tests/unit/hsm/worker/import_fixture.h"

static void refuses(unsigned spec, struct kms_bytes material)
{
    static struct imported t;
    KMS_ASSERT_CODE(import_material(import_ref_of(spec, KMS_LEVEL_SOFTWARE), material, false, &t),
                    INCORRECT_KEY_MATERIAL);
    KMS_ASSERT_CODE(import_material(import_ref_of(spec, KMS_LEVEL_HSM), material, false, &t),
                    INCORRECT_KEY_MATERIAL);
}

static void refuses_pair(unsigned spec, EVP_PKEY *pair)
{
    static uint8_t der[KMS_HSM_PRIVATE_BYTES];
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair);
    refuses(spec, import_written(pair, der));
    EVP_PKEY_free(pair);
}

static void another_kind_is_refused(void)
{
    static uint8_t secret[80], public_der[KMS_HSM_PUBLIC_BYTES], der[KMS_HSM_PRIVATE_BYTES];
    EVP_PKEY *described = EVP_PKEY_dup(import_pair_of(KMS_SPEC_EC_P256));
    size_t len;
    CU_ASSERT_EQUAL_FATAL(EVP_PKEY_set_utf8_string_param(described, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"),
                          1);
    refuses_pair(KMS_SPEC_EC_P256, described);
    refuses_pair(KMS_SPEC_EC_P256, import_generate_ec("secp256k1"));
    refuses_pair(KMS_SPEC_EC_P256, import_generate_ec("brainpoolP256r1"));
    refuses_pair(KMS_SPEC_EC_P256, import_generate_ec("P-384"));
    refuses_pair(KMS_SPEC_EC_P256, EVP_PKEY_dup(import_pair_of(KMS_SPEC_RSA_2048)));
    refuses_pair(KMS_SPEC_RSA_3072, EVP_PKEY_dup(import_pair_of(KMS_SPEC_RSA_2048)));
    refuses_pair(KMS_SPEC_RSA_2048, EVP_PKEY_dup(import_pair_of(KMS_SPEC_EC_P256)));
    refuses_pair(KMS_SPEC_RSA_2048, import_generate_rsa("RSA-PSS", 2048, 65537, 2));
    refuses_pair(KMS_SPEC_RSA_2048, import_generate_rsa("RSA", 2048, 3, 2));
    refuses_pair(KMS_SPEC_RSA_2048, import_generate_rsa("RSA", 2048, 65537, 3));
    refuses_pair(KMS_SPEC_AES_256, EVP_PKEY_dup(import_pair_of(KMS_SPEC_EC_P256)));
    KMS_ASSERT_OK_FATAL(kms_pair_public_der(import_pair_of(KMS_SPEC_EC_P256), public_der, &len));
    refuses(KMS_SPEC_EC_P256, kms_bytes_of(public_der, len));
    const unsigned symmetric[] = {KMS_SPEC_AES_256, KMS_SPEC_HMAC_256, KMS_SPEC_HMAC_384, KMS_SPEC_HMAC_512};
    for (size_t i = 0; i < KMS_COUNT(symmetric); i++)
        for (size_t n = 1; n <= 73; n += 8) refuses(symmetric[i], kms_bytes_of(secret, n));
    struct kms_bytes whole = import_written(import_pair_of(KMS_SPEC_EC_P256), der);
    der[whole.len] = 0;
    refuses(KMS_SPEC_EC_P256, kms_bytes_of(der, whole.len + 1)); /* more than a key */
    refuses(KMS_SPEC_EC_P256, kms_bytes_of(der, whole.len - 1));
}

/* One bit of a number is wrong. */
static void damaged_numbers_are_refused(void)
{
    enum { SCALAR = 36, POINT = 74, P256_BYTES = 138, RSA_NUMBERS = 40 };
    static uint8_t der[KMS_HSM_PRIVATE_BYTES];
    struct kms_bytes whole = import_written(import_pair_of(KMS_SPEC_EC_P256), der);
    CU_ASSERT_EQUAL_FATAL(whole.len, P256_BYTES);
    for (size_t i = SCALAR; i < P256_BYTES; i += i < POINT - 16 ? 8 : i < POINT ? POINT - i : 8) {
        der[i] ^= 1;
        refuses(KMS_SPEC_EC_P256, whole);
        der[i] ^= 1;
    }
    whole = import_written(import_pair_of(KMS_SPEC_RSA_2048), der);
    for (size_t i = RSA_NUMBERS; i < whole.len; i += 101) {
        der[i] ^= 1;
        refuses(KMS_SPEC_RSA_2048, whole);
        der[i] ^= 1;
    }
}

static void a_wrong_wrap_is_refused(void)
{
    static uint8_t input[IMPORT_INPUT_BYTES], der[KMS_HSM_PRIVATE_BYTES];
    static struct imported t;
    static const uint8_t secret[IMPORT_AES_BYTES] = {1};
    const struct kms_key_ref aes = import_ref_of(KMS_SPEC_AES_256, KMS_LEVEL_HSM),
                             ec = import_ref_of(KMS_SPEC_EC_P256, KMS_LEVEL_HSM);
    const struct kms_bytes keys[] = {kms_bytes_of(secret, sizeof secret),
                                     import_written(import_pair_of(KMS_SPEC_EC_P256), der)};
    for (size_t i = 0; i < 2; i++) {
        const struct kms_key_ref ref = i == 0 ? aes : ec;
        struct kms_bytes whole = import_wrap(keys[i], false, input);
        KMS_ASSERT_OK(import_input(ref, whole, &t));
        const size_t places[] = {0, IMPORT_MODULUS - 1, IMPORT_MODULUS, whole.len - 1};
        for (size_t n = 0; n < KMS_COUNT(places); n++) {
            input[places[n]] ^= 1;
            KMS_ASSERT_CODE(import_input(ref, whole, &t), INCORRECT_KEY_MATERIAL);
            input[places[n]] ^= 1;
        }
        const size_t lengths[] = {
            0, 1, IMPORT_MODULUS - 1, IMPORT_MODULUS + 8, whole.len - 8, whole.len + 8, IMPORT_INPUT_BYTES};
        for (size_t n = 0; n < KMS_COUNT(lengths); n++)
            KMS_ASSERT_CODE(import_input(ref, kms_bytes_of(input, lengths[n]), &t), INCORRECT_KEY_MATERIAL);
    }
}

static void a_token_that_cannot_is_not_asked(void)
{
    static const uint8_t secret[IMPORT_AES_BYTES] = {1};
    static struct imported t;
    const struct kms_bytes material = {secret, sizeof secret};
    struct kms_hsm_capability *last =
        &import_worker.hello.status.capabilities[import_worker.hello.status.capability_count - 1];
    CU_ASSERT_STRING_EQUAL_FATAL(last->name, "import");
    last->available = false;
    KMS_ASSERT_CODE(import_material(import_ref_of(KMS_SPEC_AES_256, KMS_LEVEL_HSM), material, true, &t),
                    UNSUPPORTED);
    KMS_ASSERT_OK(import_material(import_ref_of(KMS_SPEC_AES_256, KMS_LEVEL_SOFTWARE), material, true, &t));
    last->available = true;
}

KMS_TEST_MAIN("hsm/worker/import, refused", {"opens", import_opens},
              {"another kind is refused", another_kind_is_refused},
              {"damaged numbers are refused", damaged_numbers_are_refused},
              {"a wrong wrap is refused", a_wrong_wrap_is_refused},
              {"a token that cannot is not asked", a_token_that_cannot_is_not_asked},
              {"closes", import_closes})
