/* The error table: every row is complete, and words are cut, never overrun. */
#include "base/err.h"

#include "tests/harness/suite.h"

static void every_row_is_complete(void)
{
    for (int code = 0; code < KMS_E_COUNT; code++) {
        kms_err err = {(enum kms_code)code};
        CU_ASSERT_PTR_NOT_NULL_FATAL(kms_err_reason(err));
        CU_ASSERT_PTR_NOT_NULL_FATAL(kms_err_text(err));
        CU_ASSERT(strlen(kms_err_text(err)) >= 2);
        CU_ASSERT(kms_err_grpc_status(err) >= 0 && kms_err_grpc_status(err) <= 16);
        CU_ASSERT_EQUAL(kms_err_grpc_status(err) == 0, code == KMS_E_OK);
        CU_ASSERT_EQUAL(strspn(kms_err_reason(err), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"),
                        strlen(kms_err_reason(err)));
    }
}

static kms_err leaves_early(bool *ret_reached)
{
    KMS_TRY(KMS_OK);
    KMS_TRY(KMS_FAIL(CORRUPT));
    *ret_reached = true;
    return KMS_OK;
}

static void try_returns_the_error(void)
{
    bool reached = false;
    KMS_ASSERT_CODE(leaves_early(&reached), CORRUPT);
    CU_ASSERT_FALSE(reached);
}

static void words_are_cut_not_overrun(void)
{
    struct kms_why why = {.text = "before"};
    char long_text[2 * KMS_WHY_BYTES];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    kms_why_set(&why, "%s", long_text);
    CU_ASSERT_EQUAL(strlen(why.text), KMS_WHY_BYTES - 1);
    kms_why_set(&why, "%s:%d", "file", 3);
    CU_ASSERT_STRING_EQUAL(why.text, "file:3");
    kms_why_set(NULL, "nobody listens");
}

KMS_TEST_MAIN("base/err", {"every row is complete", every_row_is_complete},
              {"KMS_TRY returns the error", try_returns_the_error},
              {"words are cut, not overrun", words_are_cut_not_overrun})
