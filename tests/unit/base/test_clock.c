/* Time as text, and a clock that never goes back. */
#include "base/clock.h"

#include "tests/harness/suite.h"

static void time_text(void)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000000Z"},
                 {1, "1970-01-01T00:00:00.000001Z"},
                 {951782400000000, "2000-02-29T00:00:00.000000Z"},
                 {1795348800123456, "2026-11-22T12:00:00.123456Z"},
                 {253402300799999999, "9999-12-31T23:59:59.999999Z"}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char text[KMS_TIME_TEXT];
        kms_time_text(cases[i].us, text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
    }
}

static void monotonic(void)
{
    uint64_t last = kms_monotonic_us();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = kms_monotonic_us();
        CU_ASSERT_FATAL(now >= last);
        last = now;
    }
    CU_ASSERT(kms_now_us() > 1577836800000000); /* after 2020: microseconds, not another unit */
}

KMS_TEST_MAIN("base/clock", {"time as text", time_text}, {"monotonic", monotonic})
