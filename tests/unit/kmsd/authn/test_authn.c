/* Peers of Unix sockets, names of principals, and admission. */
#include <stdio.h>

#include "base/clock.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"
#include "tests/unit/kmsd/authn/leaf.h"

static void peers(void)
{
    static const struct kms_unix_mapping uids[] = {
        {0, "unix:root"}, {1000, "spiffe://host/app"}, {65534, "unix:nobody"}, {7, ""}};
    static const struct kms_unix_socket closed = {"/run/a", "", uids, 4},
                                        open = {"/run/b", "unix:any", uids, 4},
                                        none = {"/run/c", NULL, NULL, 0};
    static const struct {
        const struct kms_unix_socket *socket;
        uint64_t uid;
        const char *principal; /* NULL: refused */
    } cases[] = {
        {&closed, 0, "unix:root"},
        {&closed, 1000, "spiffe://host/app"},
        {&closed, 1001, NULL},
        {&closed, 65534, NULL},
        {&closed, 7, NULL},
        {&open, 1001, "unix:any"},
        {&open, 1000, "spiffe://host/app"},
        {&open, 65534, NULL},
        {&open, 7, NULL},
        {&open, UINT64_C(4294967296), "unix:any"},
        {&none, 0, NULL},
    };
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_identity) identity = NULL;
        struct kms_why why = {{0}};
        kms_err err = kms_identity_of_peer(authn, cases[i].socket, cases[i].uid, &identity, &why);
        if (cases[i].principal == NULL) {
            KMS_ASSERT_CODE(err, UNAUTHENTICATED);
            CU_ASSERT_PTR_NULL(identity);
            CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].socket->path));
            continue;
        }
        KMS_ASSERT_OK_FATAL(err);
        CU_ASSERT_STRING_EQUAL(identity->principal, cases[i].principal);
        CU_ASSERT_STRING_EQUAL(identity->source, "unix");
        CU_ASSERT_STRING_EQUAL(identity->serial, "");
        CU_ASSERT_EQUAL(identity->not_after_us, 0);
        KMS_ASSERT_OK(kms_authn_enter(authn, identity, 1, UINT64_MAX, NULL));
        kms_authn_leave(authn, identity, 1);
    }
}

/* Over TCP without TLS, where nobody is told apart. */
static void anybody(void)
{
    static const struct kms_unix_socket door = {.path = "127.0.0.1:5000", .principal = "local:any"},
                                        star = {.path = "127.0.0.1:5001", .principal = "*"};
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    KMS_OWN(kms_identity) identity = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_OK_FATAL(kms_identity_of_anybody(authn, &door, &identity, &why));
    CU_ASSERT_STRING_EQUAL(identity->principal, "local:any");
    CU_ASSERT_STRING_EQUAL(identity->source, "tcp");
    CU_ASSERT(identity->in_clear);
    kms_identity_drop(&identity);
    identity = NULL;
    KMS_ASSERT_CODE(kms_identity_of_anybody(authn, &star, &identity, &why), UNAUTHENTICATED);
    CU_ASSERT_PTR_NULL(identity);
}

static void others(void)
{
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    KMS_OWN(kms_identity) identity = NULL;
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(kms_identity_of_other(authn, "*", "pod", &identity, &why), UNAUTHENTICATED);
    CU_ASSERT_PTR_NULL(identity);
    KMS_ASSERT_OK_FATAL(kms_identity_of_other(authn, "k8s:shop/web", "pod", &identity, &why));
    CU_ASSERT_STRING_EQUAL(identity->principal, "k8s:shop/web");
    CU_ASSERT_STRING_EQUAL(identity->source, "pod");
    CU_ASSERT(!identity->in_clear);
}

static void names(void)
{
    static char longest[KMS_PRINCIPAL_BYTES + 1];
    memset(longest, 'n', sizeof longest);
    const struct {
        struct kms_bytes name;
        bool ok;
    } cases[] = {
        {kms_bytes_text("a"), true},
        {kms_bytes_text("Zoë"), true},
        {kms_bytes_text(""), false},
        {kms_bytes_text("*"), false}, /* policies read it as everybody */
        {kms_bytes_text("**"), true},
        {kms_bytes_text("a\nb"), false},
        {kms_bytes_text("a\x7f"), false},
        {kms_bytes_of("a\0b", 3), false},
        {kms_bytes_text("\xc3"), false},
        {kms_bytes_of(longest, KMS_PRINCIPAL_BYTES - 1), true},
        {kms_bytes_of(longest, KMS_PRINCIPAL_BYTES), false},
    };
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_identity) identity = NULL;
        kms_err err = kms_identity_new(authn, cases[i].name, "unix", &identity, NULL);
        CU_ASSERT_EQUAL(err.code, cases[i].ok ? KMS_E_OK : KMS_E_UNAUTHENTICATED);
        CU_ASSERT_EQUAL(identity != NULL, cases[i].ok);
    }
}

/* Two connections of one principal share its limits. */
static void one_principal_one_limit(void)
{
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){.in_flight_per_principal = 1});
    KMS_OWN(kms_identity) one = NULL;
    KMS_OWN(kms_identity) two = NULL;
    KMS_OWN(kms_identity) other = NULL;
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("same"), "unix", &one, NULL));
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("same"), "mtls-uri", &two, NULL));
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("other"), "unix", &other, NULL));
    KMS_ASSERT_OK(kms_authn_enter(authn, one, 1, 0, NULL));
    KMS_ASSERT_CODE(kms_authn_enter(authn, two, 1, 0, NULL), LIMIT_EXCEEDED);
    KMS_ASSERT_OK(kms_authn_enter(authn, other, 1, 0, NULL));
    kms_authn_leave(authn, one, 1);
    KMS_ASSERT_OK(kms_authn_enter(authn, two, 1, 0, NULL));
}

static void references(void)
{
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){0});
    kms_identity *identity = NULL;
    KMS_ASSERT_OK_FATAL(kms_identity_new(authn, kms_bytes_text("p"), "unix", &identity, NULL));
    CU_ASSERT_PTR_EQUAL(kms_identity_ref(identity), identity);
    kms_identity_unref(identity);
    CU_ASSERT_STRING_EQUAL(identity->principal, "p");
    kms_identity_unref(identity);
    kms_identity_unref(NULL);
    kms_authn_free(NULL);
}

static void visit(void *user, const char *principal, uint64_t count)
{
    CU_ASSERT_STRING_EQUAL(principal, "");
    *(uint64_t *)user += count;
}

/* Callers without an identity are counted together, under no name. */
static void strangers_share_an_entry(void)
{
    KMS_OWN(kms_authn) authn = authn_with(&(struct kms_authn_options){.refused_per_second = 2});
    uint64_t count = 0;
    CU_ASSERT(kms_authn_refused(authn, NULL, 1, 5));
    CU_ASSERT(kms_authn_refused(authn, NULL, 1, 5));
    CU_ASSERT_FALSE(kms_authn_refused(authn, NULL, 1, 5));
    CU_ASSERT_FALSE(kms_authn_refused(authn, NULL, 1, 999999));
    kms_authn_suppressed(authn, 1000000, visit, &count);
    CU_ASSERT_EQUAL(count, 2);
}

static void out_of_memory(void)
{
    char pem[LEAF_PEM_BYTES];
    leaf_pem(&(struct leaf){.common_names = {"boss"}}, pem);
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_authn *authn = NULL;
        kms_identity *identity = NULL;
        const struct kms_authn_options options = {
            .allow_cn = true, .deny_list = "", .in_flight_per_principal = 1};
        kms_err err = kms_authn_new(&options, &authn, NULL);
        if (!kms_failed(err)) err = kms_identity_of_certificate(authn, kms_bytes_text(pem), &identity, NULL);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(identity == NULL, faults_hit());
        kms_identity_unref(identity);
        kms_authn_free(authn);
    }
}

KMS_TEST_MAIN("authn/authn", {"peers", peers}, {"anybody", anybody}, {"others", others}, {"names", names},
              {"one principal, one limit", one_principal_one_limit}, {"references", references},
              {"strangers share an entry", strangers_share_an_entry}, {"out of memory", out_of_memory})
