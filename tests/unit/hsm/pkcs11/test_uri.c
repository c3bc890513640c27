/* PKCS#11 URIs: exactly the attributes we understand, each once. */
#include "hsm/pkcs11/uri.h"
#include "tests/harness/suite.h"

#define GOOD_QUERY "module-path=/usr/lib/m.so&pin-source=file:/etc/pin"

static const struct {
    const char *text;
    enum kms_code code;
} cases[] = {
    {"pkcs11:token=kmsd?" GOOD_QUERY, KMS_E_OK},
    {"pkcs11:serial=abc?" GOOD_QUERY, KMS_E_OK},
    {"pkcs11:token=my%20kms;serial=abc?pin-source=file:///etc/pin&module-path=/m.so", KMS_E_OK},
    {"", KMS_E_CONFIG_INVALID},
    {"https://example.org", KMS_E_CONFIG_INVALID},
    {"pkcs11:?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a;token=b?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a;?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?" GOOD_QUERY "&module-path=/x", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a;object=b?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a;x-vendor=b?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?" GOOD_QUERY "&x-vendor=1", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?" GOOD_QUERY "&pin-value=1234", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=/m.so&pin-value=1234", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=/m.so;pin-source=file:/p", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=m.so&pin-source=file:/p", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-name=m&pin-source=file:/p", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=/m.so", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?pin-source=file:/p", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=/m.so&pin-source=|/bin/pin", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=a?module-path=/m.so&pin-source=file:p", KMS_E_CONFIG_INVALID},
    {"pkcs11:token=%zz?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:token=0123456789012345678901234567890123?" GOOD_QUERY, KMS_E_CONFIG_INVALID},
    {"pkcs11:module-path=/m.so?token=a&pin-source=file:/p", KMS_E_CONFIG_INVALID},
};

static void each_is_taken_or_refused(void)
{
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_p11_uri uri;
        struct kms_why why = {""};
        kms_err err = kms_p11_uri_parse(cases[i].text, &uri, &why);
        if (!kms_is(err, cases[i].code)) printf("\n  %s: %s\n", cases[i].text, kms_err_reason(err));
        CU_ASSERT_EQUAL(err.code, cases[i].code);
        CU_ASSERT_EQUAL(why.text[0] != '\0', kms_failed(err));
        CU_ASSERT_PTR_NULL(strstr(why.text, "1234"));
    }
}

static void parts_are_decoded(void)
{
    struct kms_p11_uri uri;
    KMS_ASSERT_OK_FATAL(kms_p11_uri_parse(cases[2].text, &uri, NULL));
    CU_ASSERT_STRING_EQUAL(uri.token, "my kms");
    CU_ASSERT_STRING_EQUAL(uri.serial, "abc");
    CU_ASSERT_STRING_EQUAL(uri.module_path, "/m.so");
    CU_ASSERT_STRING_EQUAL(uri.pin_path, "/etc/pin");
}

KMS_TEST_MAIN("hsm/pkcs11/uri", {"each is taken or refused", each_is_taken_or_refused},
              {"parts are decoded", parts_are_decoded})
