/* The deny list: its grammar, what it matches, and that a mistake in it is an error, never a line that denies
 * nobody. */
#include <stdio.h>

#include "tests/harness/suite.h"
#include "tests/unit/kmsd/authn/leaf.h"

static const char *write_list(const char *text, size_t len)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/deny", kms_temp_dir());
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(text, 1, len, file), len);
    fclose(file);
    return path;
}

#define PRINT64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const kms_identity caller = {
    .principal = "spiffe://prod/app", .serial = "0a0bff", .fingerprint = PRINT64};
static const kms_identity zero_padded = {.principal = "p", .serial = "05", .fingerprint = PRINT64};
static const kms_identity peer = {.principal = "unix:app"};

static void matches(void)
{
    static const struct {
        const char *text;
        const kms_identity *who;
        bool denied;
    } cases[] = {
        {"", &caller, false},
        {"# nobody\n\n   \n", &caller, false},
        {"principal spiffe://prod/app", &caller, true},
        {"\t principal \t spiffe://prod/app \r\n", &caller, true},
        {"principal spiffe://prod/ap\nprincipal spiffe://prod/app2\n", &caller, false},
        {"principal SPIFFE://prod/app\n", &caller, false},
        {"serial 0a0bff", &caller, true},
        {"serial 0A:0B:FF", &caller, true},
        {"serial a0bff", &caller, true},
        {"serial 00:0a:0b:ff", &caller, true},
        {"serial 5\n", &zero_padded, true},
        {"serial 50\n", &zero_padded, false},
        {"serial 0a0bfe\nserial 0a0b\n", &caller, false},
        {"fingerprint " PRINT64, &caller, true},
        {"fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:"
         "DD:EE:FF",
         &caller, true},
        {"serial 0\n", &peer, false},
        {"principal z\nserial 0a0bff\nprincipal a\n", &caller, true},
        {"principal unix:app\n", &peer, true},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_deny_list *list = NULL;
        struct kms_why why = {{0}};
        KMS_ASSERT_OK(kms_deny_read(write_list(cases[i].text, strlen(cases[i].text)), &list, &why));
        CU_ASSERT_PTR_NOT_NULL_FATAL(list);
        bool denied = kms_deny_match(list, cases[i].who);
        CU_ASSERT_EQUAL(denied, cases[i].denied);
        if (denied != cases[i].denied) printf("\n%zu: %s", i, cases[i].text);
        kms_deny_free(list);
    }
}

#define TEXT(s) s, sizeof(s) - 1

static void mistakes(void)
{
    static const struct {
        const char *text;
        size_t len;
        const char *line;
    } cases[] = {
        {TEXT("principals x"), ":1:"},
        {TEXT("# fine\n\nprincipal"), ":3:"},
        {TEXT("principal a\nserial xyz\n"), ":2:"},
        {TEXT("serial ab cd\n"), ":1:"},
        {TEXT("serial :\n"), ":1:"},
        {TEXT("fingerprint abcd\n"), ":1:"},
        {TEXT("fingerprint " PRINT64 "00\n"), ":1:"},
        {TEXT("principal spiffe://a/b # stolen\n"), ":1:"},
        {TEXT("principal a\0\nprincipal spiffe://prod/app\n"), ":1:"},
        {TEXT("principal a\n\0\nprincipal b\n"), ":2:"},
        {TEXT("spiffe://prod/app\n"), ":1:"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_deny_list *list = NULL;
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(kms_deny_read(write_list(cases[i].text, cases[i].len), &list, &why), CONFIG_INVALID);
        CU_ASSERT_PTR_NULL(list);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].line));
        if (strstr(why.text, cases[i].line) == NULL) printf("\n%zu: %s", i, why.text);
        kms_deny_free(list);
    }
}

static void files(void)
{
    struct kms_deny_list *list = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_deny_read("", &list, &why));
    CU_ASSERT_FALSE(kms_deny_match(list, &caller));
    kms_deny_free(list);
    list = NULL;
    KMS_ASSERT_CODE(kms_deny_read("/does/not/exist", &list, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "/does/not/exist"));
    CU_ASSERT_PTR_NULL(list);
    kms_deny_free(NULL);
}

static void many_lines(void)
{
    static char text[64 * 1024];
    size_t len = 0;
    for (unsigned i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "principal p%u\nserial %x\n", 7919 * i % 1000,
                                i + 1);
    struct kms_deny_list *list = NULL;
    KMS_ASSERT_OK_FATAL(kms_deny_read(write_list(text, len), &list, NULL));
    for (unsigned i = 0; i < 1000; i++) {
        kms_identity who = {.serial = ""};
        snprintf(who.principal, sizeof who.principal, "p%u", i);
        CU_ASSERT(kms_deny_match(list, &who));
    }
    CU_ASSERT_FALSE(kms_deny_match(list, &(kms_identity){.principal = "p1000", .serial = "03e9"}));
    kms_deny_free(list);
}

static void a_reload_with_a_mistake_keeps_the_old_list(void)
{
    const char *path = write_list(TEXT("principal bad\n"));
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){.deny_list = path});
    KMS_OWN(kms_identity) bad = NULL;
    KMS_OWN(kms_identity) good = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("bad"), "unix", &bad, NULL));
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("good"), "unix", &good, NULL));
    KMS_ASSERT_CODE(kms_authn_enter(authn, bad, 1, 0, &why), UNAUTHENTICATED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "deny list"));
    KMS_ASSERT_OK(kms_authn_enter(authn, good, 1, 0, NULL));
    write_list(TEXT("principal good\nnonsense\n"));
    KMS_ASSERT_CODE(kms_authn_reload(authn, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, ":2:"));
    KMS_ASSERT_CODE(kms_authn_enter(authn, bad, 1, 0, NULL), UNAUTHENTICATED);
    KMS_ASSERT_OK(kms_authn_enter(authn, good, 1, 0, NULL));
    write_list(TEXT("principal good\n"));
    KMS_ASSERT_OK(kms_authn_reload(authn, &why));
    KMS_ASSERT_OK(kms_authn_enter(authn, bad, 1, 0, NULL));
    KMS_ASSERT_CODE(kms_authn_enter(authn, good, 1, 0, NULL), UNAUTHENTICATED);
}

KMS_TEST_MAIN("authn/deny", {"matches", matches}, {"mistakes are found", mistakes}, {"files", files},
              {"many lines", many_lines},
              {"a reload with a mistake keeps the old list", a_reload_with_a_mistake_keeps_the_old_list})
