/* What values are bound to. */
#include "client/kms-env/bind.h"

#include <stdlib.h>

#include "tests/harness/suite.h"

static void two_pairs(void)
{
    struct kms_env_pairs pairs;
    struct kms_context context = kms_env_bind(&pairs, "shop", "DB");
    CU_ASSERT_EQUAL_FATAL(context.count, 2);
    CU_ASSERT_STRING_EQUAL(context.entries[0].name, "kms-env:app");
    CU_ASSERT_STRING_EQUAL(context.entries[0].value, "shop");
    CU_ASSERT_STRING_EQUAL(context.entries[1].name, "kms-env:name");
    CU_ASSERT_STRING_EQUAL(context.entries[1].value, "DB");
}

static void the_flag_wins_over_the_file(void)
{
    const struct kms_bytes noted = kms_bytes_text("shop"), nothing = kms_bytes_of(NULL, 0);
    CU_ASSERT(kms_bytes_equal(kms_env_app("flag", noted, "env"), kms_bytes_text("flag")));
    CU_ASSERT(kms_bytes_equal(kms_env_app(NULL, noted, "env"), kms_bytes_text("shop")));
    CU_ASSERT(kms_bytes_equal(kms_env_app(NULL, nothing, "env"), kms_bytes_text("env")));
}

static void the_environment_names_the_fallback(void)
{
    unsetenv("KMS_ENV_APP");
    CU_ASSERT_STRING_EQUAL(kms_env_fallback_app(), "default");
    setenv("KMS_ENV_APP", "", 1);
    CU_ASSERT_STRING_EQUAL(kms_env_fallback_app(), "default");
    setenv("KMS_ENV_APP", "shop", 1);
    CU_ASSERT_STRING_EQUAL(kms_env_fallback_app(), "shop");
}

KMS_TEST_MAIN("client/kms-env/bind", {"two pairs", two_pairs},
              {"the flag wins over the file", the_flag_wins_over_the_file},
              {"the environment names the fallback", the_environment_names_the_fallback})
