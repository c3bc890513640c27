/* CK_RV becomes the error that says what to do. */
#include "hsm/pkcs11/cryptoki.h"
#include "tests/harness/suite.h"

static const struct {
    CK_RV rv;
    enum kms_code code;
    const char *name;
} cases[] = {
    {CKR_OK, KMS_E_OK, "CKR_OK"},
    {CKR_PIN_INCORRECT, KMS_E_PIN_REFUSED, "CKR_PIN_INCORRECT"},
    {CKR_PIN_LOCKED, KMS_E_PIN_REFUSED, "CKR_PIN_LOCKED"},
    {CKR_GENERAL_ERROR, KMS_E_HSM_UNAVAILABLE, "CKR_GENERAL_ERROR"},
    {CKR_DEVICE_REMOVED, KMS_E_HSM_UNAVAILABLE, "CKR_DEVICE_REMOVED"},
    {CKR_ENCRYPTED_DATA_INVALID, KMS_E_INVALID_CIPHERTEXT, "CKR_ENCRYPTED_DATA_INVALID"},
    {CKR_WRAPPED_KEY_INVALID, KMS_E_CORRUPT, "CKR_WRAPPED_KEY_INVALID"},
    {CKR_MECHANISM_INVALID, KMS_E_UNSUPPORTED, "CKR_MECHANISM_INVALID"},
    {CKR_HOST_MEMORY, KMS_E_NO_MEMORY, "CKR_HOST_MEMORY"},
    {0x80001234, KMS_E_HSM_UNAVAILABLE, "an unknown CK_RV"},
};

static void each_has_a_meaning_and_a_name(void)
{
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        CU_ASSERT_EQUAL(kms_ckr_err(cases[i].rv).code, cases[i].code);
        CU_ASSERT_STRING_EQUAL(kms_ckr_name(cases[i].rv), cases[i].name);
    }
}

static void trouble_names_the_call_and_goes_with_success(void)
{
    static struct kms_token token;
    KMS_ASSERT_CODE(kms_ckr_note(&token, "C_Sign", CKR_DEVICE_ERROR), HSM_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(kms_token_trouble(&token), "C_Sign: CKR_DEVICE_ERROR (0x30)");
    KMS_ASSERT_OK(kms_ckr_note(&token, "C_Sign", CKR_OK));
    CU_ASSERT_STRING_EQUAL(kms_token_trouble(&token), "");
}

KMS_TEST_MAIN("hsm/pkcs11/ckr", {"each has a meaning and a name", each_has_a_meaning_and_a_name},
              {"trouble names the call and goes with success", trouble_names_the_call_and_goes_with_success})
