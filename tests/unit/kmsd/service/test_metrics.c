/* Calls and acts by name and outcome; every metric of the table has a value when somebody asks. */
#include "kmsd/service/metrics.h"

#include "kmsd/service/method.h"
#include "kmsd/service/tally.h"
#include "tests/unit/kmsd/service/world.h"

static const struct kms_method *method_named(const char *rpc)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, rpc) == 0) return &kms_methods[i];
    return NULL;
}

static void ended(const char *rpc, enum kms_code code)
{
    const struct kms_call call = {.method = method_named(rpc), .err = {code}};
    CU_ASSERT_PTR_NOT_NULL_FATAL(call.method);
    kms_tally_call(&call);
}

static void methods_are_numbered(void)
{
    for (size_t i = 0; i < kms_method_count; i++) CU_ASSERT_EQUAL(kms_methods[i].number, i + 1);
}

static void calls_and_acts(void)
{
    const struct kms_method *first = &kms_methods[0], *last = &kms_methods[kms_method_count - 1];
    uint64_t away = kms_metric_count(KMS_METRIC_KEYSTORE_FAILURES);
    ended(first->rpc, KMS_E_OK);
    ended(last->rpc, KMS_E_COUNT - 1);
    ended(last->rpc, KMS_E_COUNT - 1);
    ended(last->rpc, KMS_E_KEYSTORE_UNAVAILABLE);
    kms_tally_act(KMS_INTERNAL_SWEEP_LEASES, KMS_FAIL(KEYSTORE_UNAVAILABLE));
    CU_ASSERT_EQUAL(kms_tally_of_calls(first, KMS_OK), 1);
    CU_ASSERT_EQUAL(kms_tally_of_calls(last, KMS_OK), 0);
    CU_ASSERT_EQUAL(kms_tally_of_calls(last, (kms_err){KMS_E_COUNT - 1}), 2);
    CU_ASSERT_EQUAL(kms_tally_of_acts(KMS_INTERNAL_SWEEP_LEASES, KMS_FAIL(KEYSTORE_UNAVAILABLE)), 1);
    CU_ASSERT_EQUAL(kms_tally_of_acts(KMS_INTERNAL_SWEEP_LEASES, KMS_OK), 0);
    CU_ASSERT_EQUAL(kms_metric_count(KMS_METRIC_KEYSTORE_FAILURES), away + 2);
}

static void acts_have_names(void)
{
    for (enum kms_internal what = 0; what < KMS_INTERNAL_COUNT; what++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(kms_internal_name(what));
        CU_ASSERT_PTR_NULL(method_named(kms_internal_name(what)));
        for (enum kms_internal other = 0; other < what; other++)
            CU_ASSERT_STRING_NOT_EQUAL(kms_internal_name(what), kms_internal_name(other));
    }
}

KMS_TEST_MAIN("service/metrics", {"methods are numbered", methods_are_numbered},
              {"calls and acts", calls_and_acts}, {"acts have names", acts_have_names})
