/* From a certificate to a principal: one URI, or the common name where that is allowed; everything else is
 * refused. */
#include "base/clock.h"
#include "tests/harness/suite.h"
#include "tests/unit/kmsd/authn/leaf.h"

#define URI(text)                                                                                            \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }

static char long_uri[KMS_PRINCIPAL_BYTES + 1], longest_uri[KMS_PRINCIPAL_BYTES];

/* The principal, or "" and the words of the refusal. */
static kms_err name_of(const struct leaf *leaf, bool allow_cn, char name[KMS_PRINCIPAL_BYTES],
                       struct kms_why *why)
{
    char pem[LEAF_PEM_BYTES];
    leaf_pem(leaf, pem);
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){.allow_cn = allow_cn});
    KMS_OWN(kms_identity) identity = NULL;
    kms_err err = kms_identity_of_certificate(authn, kms_bytes_text(pem), &identity, why);
    CU_ASSERT_EQUAL(kms_failed(err), identity == NULL);
    memset(name, 0, KMS_PRINCIPAL_BYTES);
    if (identity == NULL) return err;
    memcpy(name, identity->principal, strlen(identity->principal));
    CU_ASSERT_STRING_EQUAL(identity->source, strncmp(name, "cn:", 3) == 0 ? "mtls-cn" : "mtls-uri");
    return err;
}

static void principals(void)
{
    const struct {
        struct leaf leaf;
        bool allow_cn;
        const char *principal;
    } cases[] = {
        {{.uris = {URI("spiffe://prod/app")}}, false, "spiffe://prod/app"},
        {{.uris = {URI("arn:aws:iam::000000000000:role/x")}}, true, "arn:aws:iam::000000000000:role/x"},
        {{.uris = {URI("spiffe://a/b")}, .common_names = {"boss"}, .dns = "x.test"}, true, "spiffe://a/b"},
        {{.common_names = {"boss"}}, true, "cn:boss"},
        {{.common_names = {"boss"}, .dns = "x.test"}, true, "cn:boss"},
        {{.common_names = {"Zoë"}}, true, "cn:Zoë"},
        {{.uris = {{(const uint8_t *)longest_uri, KMS_PRINCIPAL_BYTES - 1}}}, false, longest_uri},
        {{.uris = {URI("cnx:boss")}}, false, "cnx:boss"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char name[KMS_PRINCIPAL_BYTES];
        KMS_ASSERT_OK(name_of(&cases[i].leaf, cases[i].allow_cn, name, NULL));
        CU_ASSERT_STRING_EQUAL(name, cases[i].principal);
    }
}

static void refusals(void)
{
    const struct {
        struct leaf leaf;
        bool allow_cn;
        const char *word;
    } cases[] = {
        {{.uris = {URI("spiffe://a/b"), URI("spiffe://a/c")}}, true, "more than one"},
        {{.uris = {URI("spiffe://a/b"), URI("spiffe://a/b")}}, true, "more than one"},
        {{.uris = {URI("spiffe://a\0b")}}, true, "NUL"},
        {{.uris = {URI("")}, .common_names = {"boss"}}, true, "URI"},
        {{.uris = {{(const uint8_t *)long_uri, KMS_PRINCIPAL_BYTES}}}, true, "too long"},
        {{.uris = {URI("cn:boss")}}, true, "reserved"},
        {{.uris = {URI("UNIX:root")}}, true, "reserved"},
        {{.uris = {URI("spiffe://a/\n")}}, true, "printable"},
        {{.uris = {URI("spiffe://a/\xff")}}, true, "UTF-8"},
        {{.common_names = {"boss"}}, false, "allow_cn"},
        {{.common_names = {"boss", "other"}}, true, "common name"},
        {{.dns = "x.test"}, true, "common name"},
        {{.common_names = {"boss"}, .dns = "x.test", .san_twice = true}, true, "alternative name"},
        {{.common_names = {"boss"}, .uris = {URI("spiffe://a/b")}, .san_twice = true},
         true,
         "alternative name"},
        {{.common_names = {"boss"}, .san_damaged = true}, true, "alternative name"},
        {{.uris = {URI("spiffe://a/b")},
          .serial_hex = "1234567890123456789012345678901234567890123456789012"},
         true,
         "serial"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        char name[KMS_PRINCIPAL_BYTES];
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(name_of(&cases[i].leaf, cases[i].allow_cn, name, &why), UNAUTHENTICATED);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].word));
        if (strstr(why.text, cases[i].word) == NULL) printf("\n%zu: %s", i, why.text);
    }
}

static void no_certificate(void)
{
    static char huge[70 * 1024];
    memset(huge, 'A', sizeof huge - 1);
    const char *texts[] = {"", "garbage", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                           huge};
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){.allow_cn = true});
    for (size_t i = 0; i < KMS_COUNT(texts); i++) {
        kms_identity *identity = NULL;
        struct kms_why why = {{0}};
        KMS_ASSERT_CODE(kms_identity_of_certificate(authn, kms_bytes_text(texts[i]), &identity, &why),
                        UNAUTHENTICATED);
        CU_ASSERT_PTR_NULL(identity);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "unreadable"));
    }
}

static void what_else_an_identity_knows(void)
{
    const struct leaf leaf = {.uris = {URI("spiffe://a/b")}, .serial_hex = "0AFF01", .expires_in_s = 1000};
    char pem[LEAF_PEM_BYTES];
    leaf_pem(&leaf, pem);
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    KMS_OWN(kms_identity) identity = NULL;
    KMS_ASSERT_OK_FATAL(kms_identity_of_certificate(authn, kms_bytes_text(pem), &identity, NULL));
    CU_ASSERT_STRING_EQUAL(identity->serial, "0aff01");
    CU_ASSERT_EQUAL(strspn(identity->fingerprint, "0123456789abcdef"), 64);
    uint64_t now = kms_now_us();
    CU_ASSERT(identity->not_after_us > now && identity->not_after_us <= now + UINT64_C(1001000000));
}

static void expired(void)
{
    const struct leaf leaf = {.uris = {URI("spiffe://a/b")}, .expires_in_s = -1000};
    char pem[LEAF_PEM_BYTES];
    leaf_pem(&leaf, pem);
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    KMS_OWN(kms_identity) identity = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_identity_of_certificate(authn, kms_bytes_text(pem), &identity, NULL));
    KMS_ASSERT_CODE(kms_authn_enter(authn, identity, 1, kms_now_us(), &why), UNAUTHENTICATED);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "expired"));
    KMS_ASSERT_OK(kms_authn_enter(authn, identity, 1, identity->not_after_us, NULL));
    kms_authn_leave(authn, identity, 1);
    KMS_ASSERT_CODE(kms_authn_enter(authn, identity, 1, identity->not_after_us + 1, NULL), UNAUTHENTICATED);
}

int main(void)
{
    memset(long_uri, 'u', sizeof long_uri - 1);
    memset(longest_uri, 'u', sizeof longest_uri - 1);
    CU_TestInfo tests[] = {{"principals", principals},
                           {"refusals", refusals},
                           {"no certificate", no_certificate},
                           {"what else an identity knows", what_else_an_identity_knows},
                           {"expired", expired},
                           CU_TEST_INFO_NULL};
    return kms_run_suite("authn/certificate", tests);
}
