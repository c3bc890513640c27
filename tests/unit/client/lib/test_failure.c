/* Statuses, details and our own failures as kms_error. */
#include "client/lib/failure.h"

#include "google/rpc/status.pb-c.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

#define TYPE "type.googleapis.com/google.rpc.ErrorInfo"

/* An encoded google.rpc.Status with one detail. */
static size_t make_details(int code, const char *type, const char *domain, const char *reason, uint8_t *to)
{
    Google__Rpc__ErrorInfo info;
    google__rpc__error_info__init(&info);
    info.reason = (char *)(uintptr_t)reason;
    info.domain = (char *)(uintptr_t)domain;
    uint8_t packed[300];
    Google__Rpc__PackedDetail detail;
    google__rpc__packed_detail__init(&detail);
    detail.type_url = (char *)(uintptr_t)type;
    detail.value.data = packed;
    detail.value.len = google__rpc__error_info__pack(&info, packed);
    Google__Rpc__PackedDetail *all[] = {&detail};
    Google__Rpc__Status status;
    google__rpc__status__init(&status);
    status.code = code;
    status.n_details = 1;
    status.details = all;
    return google__rpc__status__pack(&status, to);
}

static void reason_comes_from_the_details(void)
{
    static const struct {
        int code, details_code;
        const char *type, *domain, *reason, *want;
    } rows[] = {
        {7, 7, TYPE, "kmsd", "ACCESS_DENIED", "ACCESS_DENIED"},
        {9, 9, TYPE, "kmsd", "KEY_DISABLED", "KEY_DISABLED"},
        {7, 5, TYPE, "kmsd", "NOT_FOUND", "PERMISSION_DENIED"}, /* details of another code */
        {7, 7, TYPE, "example.com", "MINE", "PERMISSION_DENIED"},
        {7, 7, "type.googleapis.com/google.rpc.Help", "kmsd", "X", "PERMISSION_DENIED"},
        {7, 7, TYPE, "kmsd", "", "PERMISSION_DENIED"},
        {7, 7, TYPE, "kmsd", "not a reason\n", "PERMISSION_DENIED"},
        {14, 14, TYPE, "kmsd", "A_REASON_THAT_IS_LONGER_THAN_ANY_THAT_THE_TABLE_OF_ERRORS_WOULD_EVER_GIVE",
         "UNAVAILABLE"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        uint8_t details[600];
        size_t len =
            make_details(rows[i].details_code, rows[i].type, rows[i].domain, rows[i].reason, details);
        struct kms_error error;
        kms_error_remote(&error, rows[i].code, kms_bytes_text("words"), kms_bytes_of(details, len));
        CU_ASSERT_EQUAL(error.code, rows[i].code);
        CU_ASSERT_STRING_EQUAL(error.reason, rows[i].want);
        CU_ASSERT_STRING_EQUAL(error.message, "words");
    }
}

static void details_that_are_not_details(void)
{
    static const uint8_t junk[] = {0xff, 0xff, 0xff, 0x07, 0x0a};
    struct kms_error error;
    kms_error_remote(&error, 5, (struct kms_bytes){0}, kms_bytes_of(junk, sizeof junk));
    CU_ASSERT_STRING_EQUAL(error.reason, "NOT_FOUND");
    CU_ASSERT_STRING_EQUAL(error.message, "NOT_FOUND");
    kms_error_remote(NULL, 5, (struct kms_bytes){0}, kms_bytes_of(junk, sizeof junk));
    uint8_t details[600];
    size_t len = make_details(7, TYPE, "kmsd", "ACCESS_DENIED", details);
    FAULTS_EACH () {
        kms_error_remote(&error, 7, (struct kms_bytes){0}, kms_bytes_of(details, len));
        faults_pause();
        CU_ASSERT_EQUAL(error.code, 7); /* the reason may be lost, the error is not */
    }
}

static void messages_are_made_harmless(void)
{
    static const struct {
        const char *from, *want;
    } rows[] = {
        {"plain", "plain"},
        {"a\nb\033[31mc\x7f", "a b [31mc "},
        {"Schl\xc3\xbcssel", "Schl\xc3\xbcssel"},
        {"broken \xc3(", "broken ?("},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_error error;
        kms_error_remote(&error, 13, kms_bytes_text(rows[i].from), (struct kms_bytes){0});
        CU_ASSERT_STRING_EQUAL(error.message, rows[i].want);
    }
    char text[2000];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) kms_copy(text + i, "\xc3\xbc", 2);
    struct kms_error error;
    kms_error_remote(&error, 13, kms_bytes_of(text, sizeof text), (struct kms_bytes){0});
    CU_ASSERT_EQUAL(strlen(error.message), 510); /* cut between characters */
    CU_ASSERT_PTR_NULL(strchr(error.message, '?'));
}

static void own_failures(void)
{
    struct kms_why why = {.text = "no PEM"};
    struct kms_error error;
    kms_error_local(&error, KMS_FAIL(CONFIG_INVALID), &why);
    CU_ASSERT_STRING_EQUAL(error.reason, "CONFIG_INVALID");
    CU_ASSERT_STRING_EQUAL(error.message, "no PEM");
    CU_ASSERT_EQUAL(error.code, 3);
    CU_ASSERT_FALSE(error.retryable);
    kms_error_local(&error, KMS_FAIL(NO_MEMORY), NULL);
    CU_ASSERT_STRING_EQUAL(error.message, "out of memory for this call: retry later");
    CU_ASSERT_TRUE(error.retryable);
    kms_error_local(NULL, KMS_FAIL(NO_MEMORY), NULL);
}

static void retryable_by_code(void)
{
    for (int code = 1; code <= 16; code++) {
        struct kms_error error;
        kms_error_remote(&error, code, (struct kms_bytes){0}, (struct kms_bytes){0});
        CU_ASSERT_EQUAL(error.retryable, code == 14 || code == 8 || code == 1);
    }
    CU_ASSERT_STRING_EQUAL(kms_error_code_name(16), "UNAUTHENTICATED");
    CU_ASSERT_STRING_EQUAL(kms_error_code_name(17), "UNKNOWN");
    CU_ASSERT_STRING_EQUAL(kms_error_code_name(-1), "UNKNOWN");
}

/* What crossed the farewell of a server that stops was never begun: try elsewhere. */
static void cancelled_by_the_wire_is_unavailable(void)
{
    struct kms_error error;
    kms_error_remote(&error, 1, kms_bytes_text("Cancelled on the server side"), kms_bytes_of(NULL, 0));
    CU_ASSERT_EQUAL(error.code, 14);
    CU_ASSERT_STRING_EQUAL(error.reason, "UNAVAILABLE");
    CU_ASSERT_TRUE(error.retryable);
}

KMS_TEST_MAIN("client/lib/failure", {"the reason comes from the details", reason_comes_from_the_details},
              {"details that are not details are ignored", details_that_are_not_details},
              {"messages are made harmless", messages_are_made_harmless}, {"own failures", own_failures},
              {"what may succeed later", retryable_by_code},
              {"cancelled by the wire is unavailable", cancelled_by_the_wire_is_unavailable})
