/* What check finds, offline and online. */
#include "client/kms-env/inspect.h"

#include "tests/unit/client/kms-env/fake_service.h"

struct want {
    const char *name;
    enum kms_env_state state;
    const char *wrong;
};

static void check_findings(const kms_env_report *report, const struct want *want, size_t count)
{
    CU_ASSERT_EQUAL_FATAL(report->count, count);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT(kms_bytes_equal(report->findings[i].name, kms_bytes_text(want[i].name)));
        CU_ASSERT_EQUAL(report->findings[i].state, want[i].state);
        if (want[i].wrong == NULL) CU_ASSERT_PTR_NULL(report->findings[i].wrong);
        if (want[i].wrong != NULL) CU_ASSERT_STRING_EQUAL(report->findings[i].wrong, want[i].wrong);
    }
}

static void values_are_judged(void)
{
    static const char format[] =
        "#kms-env app=shop\nLOG=info\nDB_PASSWORD=x\nTOKEN=\nURL=http://u:p@h\nA={A=1}\nB=kms:v1:AAAA\nC\n";
    static const struct want lax[] = {
        {"LOG", KMS_ENV_PLAIN, NULL},    {"DB_PASSWORD", KMS_ENV_PLAIN, "plain, and its name says secret"},
        {"TOKEN", KMS_ENV_EMPTY, NULL},  {"URL", KMS_ENV_PLAIN, "plain, and it holds a secret"},
        {"A", KMS_ENV_CIPHERTEXT, NULL}, {"B", KMS_ENV_DAMAGED, "damaged"}};
    struct want strict[KMS_COUNT(lax)];
    memcpy(strict, lax, sizeof lax);
    strict[0].wrong = "plain";
    for (int pass = 0; pass < 2; pass++) {
        struct kms_env_inspect_options options = {.fallback_app = "default", .strict = pass == 1};
        KMS_OWN_BUF text = {0};
        KMS_OWN(kms_dotenv) document = NULL;
        KMS_OWN_REPORT report = {0};
        fake_text(&text, "shop", format);
        KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
        struct kms_env_input input = {"a.env", document};
        KMS_ASSERT_OK_FATAL(kms_env_inspect(NULL, &input, 1, &options, &report));
        check_findings(&report, pass == 1 ? strict : lax, KMS_COUNT(lax));
        CU_ASSERT_EQUAL(kms_env_report_wrong(&report), pass == 1 ? 4 : 3);
        CU_ASSERT_EQUAL(report.findings[4].header.key_version, 3);
        CU_ASSERT_EQUAL(report.findings[4].line, 6);
        CU_ASSERT_STRING_EQUAL(kms_env_algorithm_name(report.findings[4].header.algorithm), "AES_256_GCM");
    }
}

static void the_environment_is_judged_without_files(void)
{
    char a[] = "API_KEY=x", b[] = "odd", c[] = "LANG=C", *environment[] = {a, b, c, NULL};
    static const struct want want[] = {{"API_KEY", KMS_ENV_PLAIN, "plain, and its name says secret"},
                                       {"LANG", KMS_ENV_PLAIN, NULL}};
    struct kms_env_inspect_options options = {.fallback_app = "default"};
    KMS_OWN_REPORT report = {0};
    KMS_ASSERT_OK_FATAL(kms_env_inspect(environment, NULL, 0, &options, &report));
    check_findings(&report, want, KMS_COUNT(want));
}

static void online_says_what_decrypts(void)
{
    static const struct want want[] = {{"A", KMS_ENV_CIPHERTEXT, NULL},
                                       {"B", KMS_ENV_CIPHERTEXT, "cannot be decrypted"},
                                       {"C", KMS_ENV_DAMAGED, "damaged"},
                                       {"D", KMS_ENV_PLAIN, NULL},
                                       {"E", KMS_ENV_CIPHERTEXT, NULL},
                                       {"F", KMS_ENV_REFERENCE, NULL},
                                       {"G", KMS_ENV_REFERENCE, "cannot be had"},
                                       {"H", KMS_ENV_DAMAGED, "not a valid reference"},
                                       {"I", KMS_ENV_REFERENCE, NULL},
                                       {"J", KMS_ENV_REFERENCE, NULL}};
    struct kms_env_inspect_options options = {.fallback_app = "default"};
    struct fake_service service = {0};
    KMS_OWN_BUF text = {0};
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_OWN_REPORT report = {0};
    fake_text(&text, "default",
              "A={A=1}\nB={A=1}\nC=kms:v1:\nD=d\nE={E=5}\nF=kms-secret://db#user\n"
              "G=kms-secret://db#x\nH=kms-secret://..\nI=kms-db://ro#password\nJ=kms-secret://db\n");
    KMS_ASSERT_OK_FATAL(kms_dotenv_parse(kms_buf_view(&text), KMS_DOTENV_COMPOSE, &document, NULL));
    struct kms_env_input input = {"a.env", document};
    KMS_ASSERT_OK_FATAL(kms_env_inspect(NULL, &input, 1, &options, &report));
    KMS_ASSERT_OK_FATAL(kms_env_inspect_online(&report, &options, fake_providers(&service), NULL));
    check_findings(&report, want, KMS_COUNT(want));
    CU_ASSERT_TRUE(report.findings[0].tried);
    CU_ASSERT_FALSE(report.findings[2].tried);
    CU_ASSERT_STRING_EQUAL(report.findings[1].reason, "INVALID_CIPHERTEXT");
    CU_ASSERT_STRING_EQUAL(report.findings[1].detail.text, "another context than default B");
    CU_ASSERT_EQUAL(service.calls, 1);
    CU_ASSERT_EQUAL(service.values, 3);
    CU_ASSERT_TRUE(report.findings[5].tried);
    CU_ASSERT_STRING_EQUAL(report.findings[6].reason, "NOT_FOUND");
    CU_ASSERT_STRING_EQUAL(report.findings[6].detail.text,
                           "secret db, field x: the secret has no such field");
    CU_ASSERT_FALSE(report.findings[8].tried); /* it would make credentials */
    CU_ASSERT_EQUAL(service.fetched, 1);
    service.down = true;
    KMS_ASSERT_CODE(kms_env_inspect_online(&report, &options, fake_providers(&service), NULL),
                    CONFIG_INVALID);
}

KMS_TEST_MAIN("client/kms-env/inspect", {"values are judged", values_are_judged},
              {"the environment is judged without files", the_environment_is_judged_without_files},
              {"online says what decrypts", online_says_what_decrypts})
