/* Inputs out of a request and back into one: nothing is lost, and what is usual is not said. */
#include "kmsd/policy/input.h"

#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"

static bool same_text(struct kms_bytes a, struct kms_bytes b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && kms_bytes_equal(a, b);
}

/* Every member of the table by its kind. */
static bool same_request(const struct kms_access_request *a, const struct kms_access_request *b)
{
    bool same = true;
#define SAME_TEXT(member) same_text(a->member, b->member)
#define SAME_FLAG(member) (a->member == b->member)
#define SAME_TIME(member) true /* the record says it elsewhere */
#define SAME_ASKED(member)                                                                                   \
    (a->member##_known == b->member##_known && (!a->member##_known || a->member == b->member))
#define KMS_INPUT(member, key, kind, scope, usual) same = same && SAME_##kind(member);
#include "kmsd/policy/input.def"
#undef KMS_INPUT
    return same;
}

static void there_and_back(const struct kms_access_request *request)
{
    struct kms_pair inputs[KMS_INPUT_COUNT];
    struct kms_access_request back = {.action = request->action, .resource = request->resource};
    kms_inputs_usual(&back);
    for (enum kms_input_scope scope = KMS_INPUT_CALL; scope <= KMS_INPUT_ACCESS; scope++) {
        size_t count = kms_inputs_of(request, scope, inputs);
        for (size_t i = 0; i < count; i++)
            CU_ASSERT_FATAL(kms_input_read(&back, scope, inputs[i].name, inputs[i].value));
    }
    CU_ASSERT(same_request(request, &back));
}

static void nothing_is_lost(void)
{
    generate_seed(31);
    for (int i = 0; i < 20000; i++) {
        struct generated generated;
        generate_request(&generated);
        there_and_back(&generated.request);
    }
}

static void what_is_usual_is_not_said(void)
{
    static const struct {
        const char *asked;
        const char *call, *access; /* NAME=VALUE,...; "null" without a pointer */
    } rows[] = {
        {"resource=" KMS_INPUT_DEFAULT_ARN "1|spec=SYMMETRIC_DEFAULT|usage=ENCRYPT_DECRYPT|origin=AWS_KMS|"
         "algorithm=SYMMETRIC_DEFAULT|ip=10.0.0.1",
         "source_ip=10.0.0.1,secure_transport=true,", ""},
        {"resource=|action=kms:ListKeys|tls=0", "", ""},
        {"resource=|action=kms:Encrypt|alias=alias/x", "secure_transport=true,", "request_alias=alias/x,"},
        {"action=kms:DescribeKey|spec=SYMMETRIC_DEFAULT|usage=ENCRYPT_DECRYPT|origin=EXTERNAL|tls=0|bypass=0",
         "bypass_lockout=false,", "resource=" KEY_A ",key_origin=EXTERNAL,"},
        {"resource=" KMS_INPUT_DEFAULT_ARN "1|action=kms:Decrypt|spec=RSA_2048|same=1|tls=0",
         "reencrypt_on_same_key=true,",
         "key_spec=RSA_2048,key_usage=null,key_origin=null,encryption_algorithm=null,"},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct asked asked;
        struct kms_pair inputs[KMS_INPUT_COUNT];
        ask(rows[i].asked, &asked);
        for (enum kms_input_scope scope = KMS_INPUT_CALL; scope <= KMS_INPUT_ACCESS; scope++) {
            KMS_OWN_BUF text = {0};
            size_t count = kms_inputs_of(&asked.request, scope, inputs);
            KMS_ASSERT_OK(kms_buf_append(&text, "", 0));
            for (size_t k = 0; k < count; k++) {
                struct kms_bytes value =
                    inputs[k].value.ptr != NULL ? inputs[k].value : kms_bytes_text("null");
                KMS_ASSERT_OK(kms_buf_print(&text, "%.*s=%.*s,", (int)inputs[k].name.len,
                                            (const char *)inputs[k].name.ptr, (int)value.len,
                                            (const char *)value.ptr));
            }
            const char *want = scope == KMS_INPUT_CALL ? rows[i].call : rows[i].access;
            CU_ASSERT_STRING_EQUAL(text.data != NULL ? (const char *)text.data : "", want);
        }
        there_and_back(&asked.request);
    }
}

static kms_err set(struct kms_access_request *request, const char *name, const char *value,
                   struct kms_why *why)
{
    return kms_input_set(request, kms_bytes_text(name), kms_bytes_text(value), why);
}

/* A simulated request takes each input by the name of its condition key, in any case, or by the record's. */
static void set_by_name(void)
{
    struct kms_access_request request = {.action = KMS_ACT_DECRYPT};
    struct kms_why why = {""};
    KMS_ASSERT_OK(set(&request, "AWS:sourceip", "10.1.2.3", &why));
    KMS_ASSERT_OK(set(&request, "key_spec", "RSA_2048", &why));
    KMS_ASSERT_OK(set(&request, "aws:CurrentTime", "1970-01-01T00:00:02Z", &why));
    KMS_ASSERT_OK(set(&request, "kms:ReEncryptOnSameKey", "False", &why));
    KMS_ASSERT_OK(set(&request, "aws:SecureTransport", "true", &why));
    CU_ASSERT(kms_bytes_equal(request.source_ip, kms_bytes_text("10.1.2.3")));
    CU_ASSERT(kms_bytes_equal(request.key_spec, kms_bytes_text("RSA_2048")));
    CU_ASSERT_EQUAL(request.now_us, 2000000);
    CU_ASSERT(request.reencrypt_on_same_key_known && !request.reencrypt_on_same_key);
    CU_ASSERT(request.secure_transport);
    KMS_ASSERT_CODE(set(&request, "aws:CurrentTime", "noon", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "aws:CurrentTime: 'noon' is not a time"));
    KMS_ASSERT_CODE(set(&request, "aws:SecureTransport", "maybe", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "not true or false"));
    KMS_ASSERT_CODE(set(&request, "kms:KeySpec", "", &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(set(&request, "kms:KeySpce", "x", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "did you mean kms:KeySpec"));
    CU_ASSERT_EQUAL(request.now_us, 2000000);
}

/* Whatever a policy can ask of a request (condition_key.def) is an input, or stands in the record itself. */
static void every_condition_key_has_an_input(void)
{
    static const char *const elsewhere[] = {
        "kms:EncryptionContext:",
        "kms:EncryptionContextKeys",
        "aws:PrincipalArn",          /* context, principal */
        "aws:EpochTime",             /* aws:CurrentTime by another name */
        "kms:GrantIsForAWSResource", /* never present */
    };
    static const char *const keys[] = {
#define KMS_CONDITION_KEY(symbol, name, takes) name,
#include "kmsd/policy/condition_key.def"
#undef KMS_CONDITION_KEY
    };
    for (size_t i = 0; i < KMS_COUNT(keys); i++) {
        bool found = false;
        for (enum kms_input k = 0; k < KMS_INPUT_COUNT; k++)
            found = found || strcmp(kms_input_key(k), keys[i]) == 0;
        for (size_t k = 0; k < KMS_COUNT(elsewhere); k++) found = found || strcmp(elsewhere[k], keys[i]) == 0;
        if (!found) fprintf(stderr, "\nno record says %s: it wants a row in input.def\n", keys[i]);
        CU_ASSERT(found);
    }
}

KMS_TEST_MAIN("policy input", {"nothing is lost", nothing_is_lost},
              {"what is usual is not said", what_is_usual_is_not_said}, {"set by name", set_by_name},
              {"every condition key has an input", every_condition_key_has_an_input})
