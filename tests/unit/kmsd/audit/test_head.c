/* Signed heads: their texts, and who can have signed them. */
#include "kmsd/audit/head.h"

#include <stdlib.h>

#include "tests/harness/suite.h"
#include "tests/unit/kmsd/audit/signer.h"

static void what_is_signed(void)
{
    struct kms_audit_signed_head head = {.sequence = 18446744073709551615u, .hash = "abc"};
    char text[KMS_AUDIT_HEAD_TEXT], longest[KMS_AUDIT_HEAD_INSTANCE];
    CU_ASSERT_TRUE(kms_bytes_equal(kms_audit_head_text("kmsd-1", &head, text),
                                   kms_bytes_text("kmsd-1\n18446744073709551615\nabc\n")));
    memset(longest, 'i', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(head.hash, 'f', sizeof head.hash - 1);
    CU_ASSERT_EQUAL(kms_audit_head_text(longest, &head, text).len, 32 + 1 + 20 + 1 + 64 + 1);
}

static void there_and_back(void)
{
    struct kms_audit_signed_head head, again;
    char line[KMS_AUDIT_ANCHOR_BYTES], instance[KMS_AUDIT_HEAD_INSTANCE];
    signer_sign("t", &(struct kms_audit_head){.sequence = 12}, &head);
    size_t len = kms_audit_anchor_line("t", &head, line);
    CU_ASSERT_EQUAL_FATAL(len, strlen(line));
    CU_ASSERT_EQUAL(line[len - 1], '\n');
    CU_ASSERT_FALSE(kms_audit_head_read(kms_bytes_of(line, len - 3), instance, &again)); /* torn */
    CU_ASSERT_TRUE_FATAL(kms_audit_head_read(kms_bytes_of(line, len - 1), instance, &again));
    CU_ASSERT_STRING_EQUAL(instance, "t");
    CU_ASSERT_EQUAL(again.sequence, 12);
    CU_ASSERT_STRING_EQUAL(again.hash, head.hash);
    CU_ASSERT_STRING_EQUAL(again.key_id, head.key_id);
    CU_ASSERT_STRING_EQUAL(again.signature, head.signature);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static void what_is_no_head(void)
{
    static const char *const lines[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"instance\":\"t\"}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":0,\"hash\":\"" HEX64 "\",\"key_id\":\"" HEX64
        "\",\"signature\":\"s\"}}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":-1,\"hash\":\"" HEX64 "\",\"key_id\":\"" HEX64
        "\",\"signature\":\"s\"}}",
        "{\"instance\":\"../t\",\"head\":{\"sequence\":1,\"hash\":\"" HEX64 "\",\"key_id\":\"" HEX64
        "\",\"signature\":\"s\"}}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":1,\"hash\":\"X\",\"key_id\":\"" HEX64
        "\",\"signature\":\"s\"}}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":1,\"hash\":\"" HEX64 "0\",\"key_id\":\"" HEX64
        "\",\"signature\":\"s\"}}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":1,\"hash\":\"" HEX64 "\",\"signature\":\"s\"}}",
        "{\"instance\":\"t\",\"head\":{\"sequence\":1,\"hash\":\"" HEX64 "\",\"key_id\":\"" HEX64
        "\",\"signature\":\"" HEX64 HEX64 "\"}}",
    };
    for (size_t i = 0; i < KMS_COUNT(lines); i++) {
        struct kms_audit_signed_head head;
        char instance[KMS_AUDIT_HEAD_INSTANCE];
        CU_ASSERT_FALSE(kms_audit_head_read(kms_bytes_text(lines[i]), instance, &head));
    }
}

static void one_key_and_what_it_signed(void)
{
    struct kms_audit_signed_head head, other;
    KMS_OWN(kms_audit_keys) keys = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_keys_from_pem(signer_pem(), &keys));
    signer_sign("t", &(struct kms_audit_head){.sequence = 12, .hash = HEX64}, &head);
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "t", &head), KMS_AUDIT_SIGNATURE_GOOD);
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "u", &head), KMS_AUDIT_SIGNATURE_BAD);
    other = head;
    other.sequence++;
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "t", &other), KMS_AUDIT_SIGNATURE_BAD);
    other = head;
    other.hash[0] = '1';
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "t", &other), KMS_AUDIT_SIGNATURE_BAD);
    other = head;
    other.signature[0] = '!'; /* not base64 */
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "t", &other), KMS_AUDIT_SIGNATURE_BAD);
    other = head;
    other.key_id[0] = other.key_id[0] == '0' ? '1' : '0';
    CU_ASSERT_EQUAL(kms_audit_keys_check(keys, "t", &other), KMS_AUDIT_SIGNATURE_OTHER_KEY);
}

static void several_keys(void)
{
    struct kms_audit_signed_head first, second;
    KMS_OWN(kms_audit_keys) both = NULL;
    KMS_OWN(kms_audit_keys) none = NULL;
    KMS_OWN_BUF pem = {0};
    struct kms_bytes old = signer_pem();
    KMS_ASSERT_OK_FATAL(kms_buf_append(&pem, old.ptr, old.len));
    signer_sign("t", &(struct kms_audit_head){.sequence = 1, .hash = HEX64}, &first);
    signer_new_key();
    signer_sign("t", &(struct kms_audit_head){.sequence = 2, .hash = HEX64}, &second);
    KMS_ASSERT_OK_FATAL(kms_buf_append(&pem, signer_pem().ptr, signer_pem().len));
    KMS_ASSERT_OK_FATAL(kms_audit_keys_from_pem(kms_buf_view(&pem), &both));
    CU_ASSERT_EQUAL(kms_audit_keys_check(both, "t", &first), KMS_AUDIT_SIGNATURE_GOOD);
    CU_ASSERT_EQUAL(kms_audit_keys_check(both, "t", &second), KMS_AUDIT_SIGNATURE_GOOD);
    KMS_ASSERT_CODE(kms_audit_keys_from_pem(kms_bytes_text("no key"), &none), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_audit_keys_from_der(kms_bytes_text("no key"), &none), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_audit_keys_from_pem(signer_pem_of_rsa(), &none), INVALID_ARGUMENT);
    for (int i = 0; i < 20; i++)
        KMS_ASSERT_OK_FATAL(kms_buf_append(&pem, signer_pem().ptr, signer_pem().len));
    KMS_ASSERT_CODE(kms_audit_keys_from_pem(kms_buf_view(&pem), &none), INVALID_ARGUMENT);
}

KMS_TEST_MAIN("audit/head", {"what is signed", what_is_signed}, {"there and back", there_and_back},
              {"what is no head", what_is_no_head},
              {"one key and what it signed", one_key_and_what_it_signed}, {"several keys", several_keys})
