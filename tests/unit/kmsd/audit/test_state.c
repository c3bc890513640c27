/* Attempts and marks: from events and from the records of the same events. */
#include "kmsd/audit/state.h"

#include "kmsd/audit/encode.h"
#include "tests/unit/kmsd/audit/log.h"

/* The record of an event, as a line without its line feed. */
static struct kms_bytes record_of(const struct kms_audit_event *event, struct kms_audit_record *ret_record)
{
    static uint8_t body[KMS_AUDIT_BODY_BYTES], line[KMS_AUDIT_RECORD_BYTES];
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    size_t len;
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    KMS_ASSERT_OK_FATAL(kms_audit_encode(event, "t", 1, body, &len));
    KMS_ASSERT_OK_FATAL(kms_audit_seal(&chain, 1, kms_bytes_of(body, len), line, &len));
    kms_digest_free(chain.digest);
    CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_of(line, len - 1), ret_record));
    return kms_bytes_of(line, len - 1);
}

static void read_back_equals_applied(void)
{
    struct kms_audit_state applied = {0}, read = {0};
    static const struct {
        enum kms_audit_kind kind;
        uint8_t id;
        uint64_t revision;
        size_t open;
    } steps[] = {
        {KMS_AUDIT_CALL, 1, 0, 0},     {KMS_AUDIT_ATTEMPT, 1, 0, 1},    {KMS_AUDIT_ATTEMPT, 2, 0, 2},
        {KMS_AUDIT_SERVICE, 0, 3, 2},  {KMS_AUDIT_OUTCOME, 1, 4, 1},    {KMS_AUDIT_CALL, 2, 5, 1},
        {KMS_AUDIT_OUTCOME, 9, 0, 1},  {KMS_AUDIT_SUPPRESSED, 2, 0, 1}, {KMS_AUDIT_RECOVERY, 2, 0, 0},
        {KMS_AUDIT_RECOVERY, 0, 0, 0}, {KMS_AUDIT_OUTCOME, 3, 4, 0},    {KMS_AUDIT_SERVICE, 0, 2, 0},
        {KMS_AUDIT_OUTCOME, 3, 5, 0},
    };
    /* Outcomes of two changes at once may come in the other order; only accepting a rollback goes back. */
    static const uint64_t newest[] = {0, 0, 0, 3, 4, 5, 5, 5, 5, 5, 5, 2, 5};
    for (size_t i = 0; i < KMS_COUNT(steps); i++) {
        struct kms_audit_event event = {
            .kind = steps[i].kind,
            .operation = "CreateKey",
            .request_id = {{steps[i].id}},
            .has_mark = steps[i].revision != 0,
            .store_revision = steps[i].revision,
            .store_digest = {steps[i].id, 7},
            .detail =
                ",\"store_digest\":\"0123456789012345678901234567890123456789012345678901234567890123\""};
        struct kms_audit_record record;
        struct kms_bytes line = record_of(&event, &record);
        KMS_ASSERT_OK(kms_audit_state_apply(&applied, &event));
        KMS_ASSERT_OK(kms_audit_state_read(&read, line, &record));
        CU_ASSERT_EQUAL(applied.open_count, steps[i].open);
        CU_ASSERT_EQUAL(read.open_count, applied.open_count);
        CU_ASSERT_EQUAL(memcmp(read.open, applied.open, applied.open_count * sizeof read.open[0]), 0);
        CU_ASSERT_EQUAL(read.has_mark, applied.has_mark);
        CU_ASSERT_EQUAL(applied.revision, newest[i]);
        CU_ASSERT_EQUAL(read.revision, applied.revision);
        CU_ASSERT_EQUAL(memcmp(read.digest, applied.digest, sizeof read.digest), 0);
    }
}

static void what_is_untouched(void)
{
    for (int kind = KMS_AUDIT_CALL; kind <= KMS_AUDIT_SERVICE; kind++) {
        struct kms_audit_event event = {.kind = (enum kms_audit_kind)kind};
        bool plain = kind == KMS_AUDIT_CALL || kind == KMS_AUDIT_SUPPRESSED || kind == KMS_AUDIT_SERVICE;
        CU_ASSERT_EQUAL(kms_audit_state_untouched(&event), plain);
        event.has_mark = true;
        CU_ASSERT_FALSE(kms_audit_state_untouched(&event));
    }
}

static void bad_openings(void)
{
    static const struct {
        const char *text;
        bool opening, with_state;
    } rows[] = {
        {"", false, false},
        {"{}", false, false},
        {"{\"segment\":{}}", false, false},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"full\",\"open_attempts\":[]}}", true, true},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"full\"}}", true, true},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"age\"}}", true, true},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"asked\"}}", true, true},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"lost\"}}", true, true},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"bored\",\"open_attempts\":[]}}", false, false},
        {"{\"segment\":{\"number\":-1,\"after\":1,\"because\":\"full\",\"open_attempts\":[]}}", false, false},
        {"{\"segment\":{\"number\":4294967296,\"after\":1,\"because\":\"full\",\"open_attempts\":[]}}", false,
         false},
        {"{\"segment\":{\"number\":2,\"after\":\"1\",\"because\":\"full\",\"open_attempts\":[]}}", false,
         false},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"full\",\"open_attempts\":[{\"request_id\":"
         "\"x\"}]}}",
         true, false},
        {"{\"segment\":{\"number\":2,\"after\":1,\"because\":\"full\",\"open_attempts\":[]},\"store_digest\":"
         "\"00\"}",
         true, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_opening opening;
        struct kms_audit_state state = {.revision = 42};
        CU_ASSERT_EQUAL(kms_audit_opening_read(kms_bytes_text(rows[i].text), &opening, NULL),
                        rows[i].opening);
        CU_ASSERT_EQUAL(kms_audit_opening_read(kms_bytes_text(rows[i].text), &opening, &state),
                        rows[i].with_state);
        CU_ASSERT_EQUAL(state.revision, rows[i].with_state ? 0 : 42);
    }
}

KMS_TEST_MAIN("audit/state", {"read back equals applied", read_back_equals_applied},
              {"what is untouched", what_is_untouched}, {"first records that are none", bad_openings})
