/* Which exit status and which next step an error gets. */
#include "client/kmsctl/ctl.h"

#include <stdio.h>
#include <string.h>

#include "tests/harness/suite.h"

static void exit_statuses(void)
{
    static const struct {
        int code;
        const char *reason;
        enum ctl_exit want;
    } rows[] = {
        {7, "ACCESS_DENIED", CTL_DENIED},          {7, "PERMISSION_DENIED", CTL_DENIED},
        {16, "UNAUTHENTICATED", CTL_DENIED},       {5, "NOT_FOUND", CTL_NOT_FOUND},
        {14, "UNAVAILABLE", CTL_UNAVAILABLE},      {14, "HSM_UNAVAILABLE", CTL_UNAVAILABLE},
        {14, "SHUTTING_DOWN", CTL_UNAVAILABLE},    {14, "A_NEW_REASON", CTL_UNAVAILABLE},
        {4, "DEADLINE_EXCEEDED", CTL_UNAVAILABLE}, {8, "LIMIT_EXCEEDED", CTL_UNAVAILABLE},
        {3, "CHECKSUM_MISMATCH", CTL_INTEGRITY},   {15, "CORRUPT", CTL_INTEGRITY},
        {15, "DATA_LOSS", CTL_INTEGRITY},          {3, "INVALID_CIPHERTEXT", CTL_FAILED},
        {9, "POLICY_NOT_SEPARATED", CTL_FAILED},   {14, "IO", CTL_FAILED},
        {3, "CONFIG_INVALID", CTL_USAGE},          {13, "INTERNAL", CTL_FAILED},
        {6, "ALREADY_EXISTS", CTL_FAILED},         {99, "?", CTL_FAILED},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_error error = {.code = rows[i].code};
        snprintf(error.reason, sizeof error.reason, "%s", rows[i].reason);
        if (ctl_exit_of(&error) != rows[i].want) printf("%s: %d\n", rows[i].reason, ctl_exit_of(&error));
        CU_ASSERT_EQUAL(ctl_exit_of(&error), rows[i].want);
    }
}

static void hints_name_the_next_step(void)
{
    static const char *const reasons[] = {"ACCESS_DENIED", "KEY_DISABLED", "INVALID_CIPHERTEXT",
                                          "UNAVAILABLE", "POLICY_NOT_SEPARATED"};
    for (size_t i = 0; i < KMS_COUNT(reasons); i++) {
        struct kms_error error = {.code = 3};
        snprintf(error.reason, sizeof error.reason, "%s", reasons[i]);
        CU_ASSERT_PTR_NOT_NULL(ctl_hint_of(&error, NULL));
    }
    CU_ASSERT_PTR_NULL(ctl_hint_of(&(struct kms_error){.code = 13, .reason = "INTERNAL"}, "lease"));
}

/* The next step after NOT_FOUND is not the same for a key and for a lease. */
static void hints_fit_the_command(void)
{
    const struct kms_error missing = {.code = 5, .reason = "NOT_FOUND"};
    const struct kms_error down = {.code = 14, .reason = "UNAVAILABLE"};
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl_hint_of(&missing, NULL), "kmsctl key list"));
    CU_ASSERT_STRING_EQUAL(ctl_hint_of(&missing, "key"), ctl_hint_of(&missing, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl_hint_of(&missing, "lease"), "kmsctl lease list"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl_hint_of(&missing, "secret"), "kmsctl secret list"));
    CU_ASSERT_STRING_EQUAL(ctl_hint_of(&down, "lease"), ctl_hint_of(&down, NULL));
}

static void own_errors(void)
{
    struct ctl ctl = {0};
    CU_ASSERT_FALSE(ctl_fail(&ctl, KMS_FAIL(NOT_FOUND), &(struct kms_why){.text = "no context"}));
    CU_ASSERT_STRING_EQUAL(ctl.error.reason, "NOT_FOUND");
    CU_ASSERT_STRING_EQUAL(ctl.error.message, "no context");
    CU_ASSERT_FALSE(ctl_fail(&ctl, KMS_FAIL(NO_MEMORY), NULL));
    CU_ASSERT_STRING_EQUAL(ctl.error.message, kms_err_text(KMS_FAIL(NO_MEMORY)));
    CU_ASSERT_FALSE(ctl_fail_usage(&ctl, "which %s?", "key"));
    CU_ASSERT_STRING_EQUAL(ctl.error.message, "which key?");
    CU_ASSERT_TRUE(ctl.usage);
}

KMS_TEST_MAIN("client/kmsctl/fail", {"exit statuses", exit_statuses},
              {"hints name the next step", hints_name_the_next_step},
              {"hints fit the command", hints_fit_the_command}, {"own errors", own_errors})
