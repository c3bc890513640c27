/* When a call is tried again, and how long it waits. */
#include "client/lib/retry.h"

#include "tests/harness/suite.h"

enum { UNAVAILABLE = 14, RESOURCE_EXHAUSTED = 8, DEADLINE_EXCEEDED = 4, PERMISSION_DENIED = 7 };

static void decisions(void)
{
    static const struct {
        enum kms_repeat repeat;
        bool has_token;
        int code;
        uint32_t tried;
        bool want;
    } rows[] = {
        {KMS_REPEAT_ALWAYS, false, UNAVAILABLE, 1, true},
        {KMS_REPEAT_ALWAYS, false, UNAVAILABLE, 4, true},
        {KMS_REPEAT_ALWAYS, false, UNAVAILABLE, 5, false},
        {KMS_REPEAT_ALWAYS, false, DEADLINE_EXCEEDED, 1, false},
        {KMS_REPEAT_ALWAYS, false, RESOURCE_EXHAUSTED, 1, false},
        {KMS_REPEAT_ALWAYS, false, PERMISSION_DENIED, 1, false},
        {KMS_REPEAT_WITH_TOKEN, true, UNAVAILABLE, 1, true},
        {KMS_REPEAT_WITH_TOKEN, false, UNAVAILABLE, 1, false},
        {KMS_REPEAT_NEVER, false, UNAVAILABLE, 1, false},
        {KMS_REPEAT_NEVER, true, UNAVAILABLE, 1, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_error error = {.code = rows[i].code};
        CU_ASSERT_EQUAL(kms_retry_allowed(rows[i].repeat, rows[i].has_token, &error, rows[i].tried, 5),
                        rows[i].want);
    }
}

static void waits(void)
{
    static const struct {
        uint32_t tried, random;
        uint64_t want_us;
    } rows[] = {
        {1, 0, 50000},
        {1, UINT32_MAX, 100000},
        {2, 0, 100000},
        {2, UINT32_MAX, 200000},
        {5, UINT32_MAX, 1600000},
        {6, 0, 1000000},
        {6, UINT32_MAX, 2000000},
        {4000000000u, 0, 1000000},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_retry_wait_us(rows[i].tried, rows[i].random), rows[i].want_us);
}

KMS_TEST_MAIN("client/lib/retry", {"only what is safe is tried again", decisions},
              {"pauses double, are random, and are bounded", waits})
