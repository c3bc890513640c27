/* Which names are guarded, which look like secrets. */
#include "client/kms-env/guard.h"

#include "tests/harness/suite.h"

static void guarded_names(void)
{
    static const struct {
        const char *name;
        bool guarded;
    } rows[] = {
        {"PATH", true},
        {"HOME", true},
        {"LD_PRELOAD", true},
        {"LD_LIBRARY_PATH", true},
        {"LD_", true},
        {"DYLD_INSERT_LIBRARIES", true},
        {"BASH_ENV", true},
        {"ENV", true},
        {"PYTHONSTARTUP", true},
        {"NODE_OPTIONS", true},
        {"PROMPT_COMMAND", true},
        {"GLIBC_TUNABLES", true},
        {"GCONV_PATH", true},
        {"IFS", true},
        {"PERL5OPT", true},
        {"RUBYOPT", true},
        {"PATHS", false},
        {"MY_PATH", false},
        {"path", false},
        {"LD", false},
        {"OLD_PRELOAD", false},
        {"ENVIRONMENT", false},
        {"DATABASE_URL", false},
        {"", false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++)
        CU_ASSERT_EQUAL(kms_env_name_guarded(kms_bytes_text(rows[i].name)), rows[i].guarded);
}

static void settings_of_kms_env(void)
{
    static const char *const settings[] = {"KMS_ENDPOINT", "KMS_CA",       "KMS_CERT",
                                           "KMS_KEY",      "KMS_KEY_FILE", "KMS_CONTEXT"};
    static const char *const others[] = {"KMS_ENV_APP", "KMS_ENDPOINTS", "KMS", "AWS_KMS_KEY", ""};
    for (size_t i = 0; i < KMS_COUNT(settings); i++)
        CU_ASSERT_TRUE(kms_env_name_is_setting(kms_bytes_text(settings[i])));
    for (size_t i = 0; i < KMS_COUNT(others); i++)
        CU_ASSERT_FALSE(kms_env_name_is_setting(kms_bytes_text(others[i])));
}

static void secret_looks(void)
{
    static const struct {
        const char *name, *value;
        bool by_name, by_value;
    } rows[] = {
        {"DB_PASSWORD", "x", true, false},
        {"db_password", "x", true, false},
        {"ClientSecret", "x", true, false},
        {"TOKEN", "x", true, false},
        {"API_KEY_2", "x", true, false},
        {"SENTRY_DSN", "x", true, false},
        {"DB_PASSWORD_FILE", "/run/secrets/x", false, false},
        {"LOG_LEVEL", "info", false, false},
        {"", "", false, false},
        {"DATABASE_URL", "postgres://u:p@h/d", false, true},
        {"A", "redis://:p@h:1", false, true},
        {"A", "https://h:8443/x@y:z", false, false},
        {"A", "https://u@h/", false, false},
        {"A", "https://u:@h/", false, false},
        {"A", "https://h?a:b@c", false, false},
        {"A", "://", false, false},
        {"A", "-----BEGIN PRIVATE KEY-----\nMII", false, true},
        {"A", "-----BEGIN RSA PRIVATE KEY-----\nMII", false, true},
        {"A", "-----BEGIN CERTIFICATE-----", false, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        CU_ASSERT_EQUAL(kms_env_name_looks_secret(kms_bytes_text(rows[i].name)), rows[i].by_name);
        CU_ASSERT_EQUAL(kms_env_value_looks_secret(kms_bytes_text(rows[i].value)), rows[i].by_value);
    }
}

KMS_TEST_MAIN("client/kms-env/guard", {"guarded names", guarded_names},
              {"settings of kms-env", settings_of_kms_env}, {"what looks secret", secret_looks})
