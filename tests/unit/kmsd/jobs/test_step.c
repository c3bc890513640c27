/* Steps of the wall clock: seen both ways, doubted forward, and drift is none. */
#include "kmsd/jobs/step.h"

#include "tests/harness/suite.h"

enum { SECOND = 1000000 };
#define HOUR (UINT64_C(3600) * SECOND)

static struct kms_step started(void)
{
    struct kms_step step = {.tolerance_us = 300 * (uint64_t)SECOND, .hold_us = HOUR};
    CU_ASSERT_EQUAL(kms_step_look(&step, 1000 * HOUR, HOUR), 0); /* the first look knows nothing before it */
    CU_ASSERT_FALSE(kms_step_doubted(&step, HOUR));
    return step;
}

static void drift_is_no_step(void)
{
    struct kms_step step = started();
    CU_ASSERT_EQUAL(kms_step_look(&step, 1001 * HOUR + 300 * SECOND, 2 * HOUR), 0);
    CU_ASSERT_EQUAL(kms_step_look(&step, 1002 * HOUR, 3 * HOUR), 0);
    CU_ASSERT_FALSE(kms_step_doubted(&step, 3 * HOUR));
}

static void forward_is_doubted_for_a_while(void)
{
    struct kms_step step = started();
    CU_ASSERT_EQUAL(kms_step_look(&step, 1100 * HOUR, HOUR + 10), (int64_t)(100 * HOUR - 10));
    CU_ASSERT_TRUE(kms_step_doubted(&step, HOUR + 10));
    CU_ASSERT_TRUE(kms_step_doubted(&step, 2 * HOUR + 9));
    CU_ASSERT_FALSE(kms_step_doubted(&step, 2 * HOUR + 10));
}

static void back_again_ends_the_doubt(void)
{
    struct kms_step step = started();
    CU_ASSERT(kms_step_look(&step, 1100 * HOUR, HOUR) > 0);
    CU_ASSERT(kms_step_look(&step, 1000 * HOUR, HOUR) < 0);
    CU_ASSERT_FALSE(kms_step_doubted(&step, HOUR));
}

static void back_alone_is_told(void)
{
    struct kms_step step = started();
    CU_ASSERT_EQUAL(kms_step_look(&step, 990 * HOUR, HOUR), -(int64_t)(10 * HOUR));
    CU_ASSERT_FALSE(kms_step_doubted(&step, HOUR));
}

KMS_TEST_MAIN("jobs/step", {"drift is no step", drift_is_no_step},
              {"forward is doubted for a while", forward_is_doubted_for_a_while},
              {"back again ends the doubt", back_again_ends_the_doubt},
              {"back alone is told", back_alone_is_told})
