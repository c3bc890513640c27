/* Errors as clients will see them, decoded again. */
#include "kmsd/rpc/status.h"

#include <grpc/status.h>

#include "base/text.h"
#include "google/rpc/status.pb-c.h"
#include "tests/harness/suite.h"

static const struct {
    enum kms_code code;
    const char *why;
    int grpc;
    const char *message;
} cases[] = {
    {KMS_E_ACCESS_DENIED, "", GRPC_STATUS_PERMISSION_DENIED, "not allowed by policy"},
    {KMS_E_INVALID_ARGUMENT, "field key_id: NUL byte", GRPC_STATUS_INVALID_ARGUMENT,
     "the request is not valid: field key_id: NUL byte"},
    {KMS_E_KEY_DISABLED, "since Monday", GRPC_STATUS_FAILED_PRECONDITION,
     "the key is disabled: since Monday"},
    {KMS_E_INTERNAL, "0x5 at /usr/lib/softhsm", GRPC_STATUS_INTERNAL, "internal error"},
    {KMS_E_HSM_UNAVAILABLE, "slot 3", GRPC_STATUS_UNAVAILABLE,
     "the security module does not answer: retry later"},
    {KMS_E_CORRUPT, "row 7", GRPC_STATUS_DATA_LOSS, "stored data failed its integrity check"},
};

/* Milliseconds, 0: none. */
static unsigned retry_of(const Google__Rpc__Status *status)
{
    if (status->n_details < 2) return 0;
    CU_ASSERT_EQUAL_FATAL(status->n_details, 2);
    CU_ASSERT_STRING_EQUAL(status->details[1]->type_url, "type.googleapis.com/google.rpc.RetryInfo");
    const ProtobufCBinaryData *any = &status->details[1]->value;
    Google__Rpc__RetryInfo *retry = google__rpc__retry_info__unpack(NULL, any->len, any->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(retry);
    CU_ASSERT_PTR_NOT_NULL_FATAL(retry->retry_delay);
    unsigned ms =
        (unsigned)retry->retry_delay->seconds * 1000 + (unsigned)retry->retry_delay->nanos / 1000000;
    google__rpc__retry_info__free_unpacked(retry, NULL);
    return ms;
}

static void check_details(const struct kms_status *status, const char *reason, const char *request_id)
{
    Google__Rpc__Status *decoded = google__rpc__status__unpack(NULL, status->details_len, status->details);
    CU_ASSERT_PTR_NOT_NULL_FATAL(decoded);
    CU_ASSERT_EQUAL(decoded->code, status->code);
    CU_ASSERT_STRING_EQUAL(decoded->message, status->message);
    CU_ASSERT_TRUE_FATAL(decoded->n_details >= 1);
    CU_ASSERT_STRING_EQUAL(decoded->details[0]->type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    const ProtobufCBinaryData *any = &decoded->details[0]->value;
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(NULL, any->len, any->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(info);
    CU_ASSERT_STRING_EQUAL(info->reason, reason);
    CU_ASSERT_STRING_EQUAL(info->domain, "kmsd");
    CU_ASSERT_EQUAL_FATAL(info->n_metadata, request_id != NULL);
    if (request_id != NULL) {
        CU_ASSERT_STRING_EQUAL(info->metadata[0]->key, "request_id");
        CU_ASSERT_STRING_EQUAL(info->metadata[0]->value, request_id);
    }
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__status__free_unpacked(decoded, NULL);
}

static void test_table(void)
{
    static const struct kms_status_pair id = {"request_id", "01000000-0000-0000-0000-000000000000"};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_why why;
        struct kms_status status;
        kms_why_set(&why, "%s", cases[i].why);
        kms_err err = {cases[i].code};
        const struct kms_status_info info = {.pairs = &id, .count = 1};
        kms_status_make(err, &why, &info, &status);
        CU_ASSERT_EQUAL(status.code, cases[i].grpc);
        CU_ASSERT_STRING_EQUAL(status.message, cases[i].message);
        check_details(&status, kms_err_reason(err), "01000000-0000-0000-0000-000000000000");
    }
}

static void test_every_code(void)
{
    for (enum kms_code code = KMS_E_OK + 1; code < KMS_E_COUNT; code++) {
        struct kms_status status;
        kms_status_make((kms_err){code}, NULL, NULL, &status);
        CU_ASSERT_TRUE(status.code > 0 && status.code <= 16);
        check_details(&status, kms_err_reason((kms_err){code}), NULL);
    }
}

static void test_long_words(void)
{
    struct kms_why why = {""};
    struct kms_status status;
    static const char *const letters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff"};
    for (size_t i = 0; i < KMS_COUNT(letters); i++) {
        for (size_t shift = 0; shift < 4; shift++) {
            size_t len = shift, step = strlen(letters[i]);
            memset(why.text, 'x', sizeof why.text);
            for (; len < KMS_WHY_BYTES - 1; len += step)
                memcpy(why.text + len, letters[i],
                       step < KMS_WHY_BYTES - 1 - len ? step : KMS_WHY_BYTES - 1 - len);
            why.text[KMS_WHY_BYTES - 1] = '\0';
            kms_status_make(KMS_FAIL(INVALID_ARGUMENT), &why, NULL, &status);
            CU_ASSERT_TRUE(kms_utf8_valid(kms_bytes_text(status.message)));
            CU_ASSERT_TRUE(strlen(status.message) > KMS_WHY_BYTES - 5);
            check_details(&status, "INVALID_ARGUMENT", NULL);
        }
    }
}

/* Only where the same call may come through later. */
static void test_retry(void)
{
    for (enum kms_code code = KMS_E_OK + 1; code < KMS_E_COUNT; code++) {
        for (int passes = 0; passes < 2; passes++) {
            const struct kms_status_info info = {.passes = passes};
            struct kms_status status;
            kms_status_make((kms_err){code}, NULL, &info, &status);
            Google__Rpc__Status *decoded =
                google__rpc__status__unpack(NULL, status.details_len, status.details);
            CU_ASSERT_PTR_NOT_NULL_FATAL(decoded);
            unsigned want = 0;
            if (code == KMS_E_NO_MEMORY || (code == KMS_E_LIMIT_EXCEEDED && passes)) want = 100;
            if (code == KMS_E_HSM_UNAVAILABLE || code == KMS_E_KEYSTORE_UNAVAILABLE ||
                code == KMS_E_AUDIT_UNAVAILABLE || code == KMS_E_DATABASE_UNAVAILABLE ||
                code == KMS_E_SHUTTING_DOWN || code == KMS_E_STREAM_CROWDED_OUT)
                want = 1000;
            CU_ASSERT_EQUAL(retry_of(decoded), want);
            google__rpc__status__free_unpacked(decoded, NULL);
        }
    }
}

KMS_TEST_MAIN("rpc/status", {"code, words and details of an error", test_table},
              {"every error has details", test_every_code}, {"where trying again helps", test_retry},
              {"words are cut between characters", test_long_words})
