/* Inputs out of a request and back into one: nothing is lost, and what is usual is not said. */
#include "kmsd/policy/input.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/compiled.h"
#include "tests/unit/kmsd/policy/fixture.h"
#include "tests/unit/kmsd/policy/generate.h"

static struct kms_inputs inputs, again;

static bool same_text(struct kms_bytes a, struct kms_bytes b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && kms_bytes_equal(a, b);
}

/* What is read back says the same again, and decides the same under any document. */
static void there_and_back(const struct kms_access_request *request, const kms_policy *policy)
{
    struct kms_pool pool = {NULL};
    struct kms_access_request back = *request;
    kms_inputs_usual(&back);
    for (enum kms_input_scope scope = KMS_INPUT_CALL; scope <= KMS_INPUT_ACCESS; scope++) {
        kms_inputs_of(request, scope, &inputs);
        for (size_t i = 0; i < inputs.count; i++)
            KMS_ASSERT_OK_FATAL(kms_input_read(&back, scope, inputs.pairs[i], &pool));
        kms_inputs_of(&back, scope, &again);
        CU_ASSERT_EQUAL_FATAL(inputs.count, again.count);
        for (size_t i = 0; i < inputs.count; i++)
            CU_ASSERT(same_text(inputs.pairs[i].name, again.pairs[i].name) &&
                      same_text(inputs.pairs[i].value, again.pairs[i].value));
    }
    if (policy != NULL) {
        struct kms_decision want = kms_policy_decide(policy, request),
                            have = kms_policy_decide(policy, &back);
        CU_ASSERT(want.effect == have.effect && want.statement == have.statement);
    }
    kms_pool_free(&pool);
}

static void nothing_is_lost(void)
{
    generate_seed(31);
    for (int i = 0; i < 500; i++) {
        json_t *document = generate_document(false);
        char *text = json_dumps(document, 0);
        struct kms_why why = {""};
        KMS_OWN(kms_policy) policy = NULL;
        if (kms_failed(kms_policy_parse(KMS_POLICY_KEY, kms_bytes_text(text), &policy, &why))) policy = NULL;
        for (int k = 0; k < 40; k++) {
            struct generated generated;
            generate_request(&generated);
            there_and_back(&generated.request, policy);
        }
        free(text);
        json_decref(document);
    }
}

/* Each input of the table at once, those of many values twice. */
static void every_input(void)
{
    static const struct {
        const char *key, *value, *second;
    } rows[] = {
        {"resource", "arn:aws:kms:x:1:key/2", NULL},
        {"aws:SourceIp", "10.0.0.1", NULL},
        {"aws:SecureTransport", "true", NULL},
        {"aws:CurrentTime", "2026-11-22T12:00:00Z", NULL},
        {"kms:ReEncryptOnSameKey", "false", NULL},
        {"kms:BypassPolicyLockoutSafetyCheck", "true", NULL},
        {"aws:ResourceTag/team", "pay/ments", "aws:ResourceTag/Stage=1"},
        {"kms:GrantOperations", "Decrypt", "kms:GrantOperations=Encrypt"},
        {"kms:ValidTo", "2026-11-22T12:00:00.000001Z", NULL},
        {"kms:RotationPeriodInDays", "90", NULL},
        {"kms:ScheduleKeyDeletionPendingWindowInDays", "7", NULL},
        {"aws:RequestTag/a", "b", "aws:RequestTag/a/b="},
        {"aws:TagKeys", "gone", "aws:TagKeys=too"},
        {"secretsmanager:RecoveryWindowInDays", "30", NULL},
        {"secretsmanager:ForceDeleteWithoutRecovery", "false", NULL},
        {"secretsmanager:ModifyRotationRules", "true", NULL},
        {"secretsmanager:RotateImmediately", "false", NULL},
    };
    struct kms_pool pool = {NULL};
    struct kms_why why = {""};
    struct kms_access_request request = {.principal = kms_bytes_text(APP), .action = KMS_ACT_DECRYPT};
    for (enum kms_input input = 0; input < KMS_INPUT_COUNT; input++) {
        const char *key = kms_input_key(input), *value = "some text", *second = NULL;
        for (size_t i = 0; i < KMS_COUNT(rows); i++) {
            if (strncmp(rows[i].key, key, strlen(key)) != 0) continue;
            key = rows[i].key, value = rows[i].value, second = rows[i].second;
            break;
        }
        struct kms_pair pair = {kms_bytes_text(key), kms_bytes_text(value)};
        KMS_ASSERT_OK(kms_input_set(&request, pair, &pool, &why));
        const char *equals = second != NULL ? strchr(second, '=') : NULL;
        if (equals == NULL || equals[1] == '\0') continue;
        pair = (struct kms_pair){kms_bytes_of(second, (size_t)(equals - second)), kms_bytes_text(equals + 1)};
        KMS_ASSERT_OK(kms_input_set(&request, pair, &pool, &why));
    }
    there_and_back(&request, NULL);
    kms_inputs_of(&request, KMS_INPUT_ACCESS, &inputs);
    /* all rows of this scope, and the second values */
    CU_ASSERT_EQUAL(inputs.count, KMS_INPUT_COUNT - 4 + 3);
    CU_ASSERT_FALSE(inputs.cut);
    CU_ASSERT_EQUAL(request.resource_tag_count, 2);
    CU_ASSERT(same_text(request.resource_tags[1].name, kms_bytes_text("Stage")));
    CU_ASSERT_EQUAL(request.inputs->grant_operation_count, 2);
    CU_ASSERT_EQUAL(request.inputs->valid_to_us, UINT64_C(1795348800000001));
    CU_ASSERT(request.inputs->rotation_period_days == 90 && request.inputs->pending_window_days == 7);
    CU_ASSERT_EQUAL(request.inputs->removed_tag_key_count, 2);
    kms_pool_free(&pool);
}

/* Such a request is refused, but after it was decided: its record must be read, too. */
static void tags_without_a_name(void)
{
    struct kms_pair tag = {kms_bytes_text(""), kms_bytes_text("v")};
    struct kms_bytes name = kms_bytes_text("");
    struct kms_operation_inputs operation = {
        .request_tags = &tag, .request_tag_count = 1, .removed_tag_keys = &name, .removed_tag_key_count = 1};
    struct kms_access_request request = {.principal = kms_bytes_text(APP), .inputs = &operation};
    there_and_back(&request, NULL);
    struct kms_pool pool = {0};
    struct kms_why why = {""};
    const struct kms_pair nameless = {kms_bytes_text("aws:RequestTag/"), kms_bytes_text("v")};
    KMS_ASSERT_CODE(kms_input_set(&request, nameless, &pool, &why), INVALID_ARGUMENT);
    kms_pool_free(&pool);
}

static void more_than_fits(void)
{
    enum { TAGS = KMS_INPUT_PAIRS + 1 };
    static struct kms_pair tags[TAGS];
    static char name[KMS_INPUT_TEXT_BYTES / 2];
    struct kms_access_request request = {.principal = kms_bytes_text(APP), .resource_tags = tags};
    for (size_t i = 0; i < TAGS; i++) tags[i] = (struct kms_pair){kms_bytes_text("n"), kms_bytes_text("v")};
    for (size_t i = KMS_INPUT_PAIRS; i <= TAGS; i++) {
        request.resource_tag_count = i;
        kms_inputs_of(&request, KMS_INPUT_ACCESS, &inputs);
        CU_ASSERT_EQUAL(inputs.count, KMS_INPUT_PAIRS);
        CU_ASSERT_EQUAL(inputs.cut, i == TAGS);
    }
    memset(name, 'n', sizeof name);
    tags[0].name = tags[1].name = kms_bytes_of(name, sizeof name);
    request.resource_tag_count = 2;
    kms_inputs_of(&request, KMS_INPUT_ACCESS, &inputs);
    CU_ASSERT(inputs.count == 1 && inputs.cut);
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
        {"resource=|action=kms:CreateGrant|tls=0|tag:team=x|grantop=Sign|grantop=Verify|window=7|grantee=P",
         "",
         "resource_tags/team=x,grantee_principal=P,grant_operations/Sign=,grant_operations/Verify=,"
         "pending_window_days=7,"},
        {"action=kms:DescribeKey|spec=SYMMETRIC_DEFAULT|usage=ENCRYPT_DECRYPT|origin=EXTERNAL|tls=0|bypass=0",
         "bypass_lockout=false,", "resource=" KEY_A ",key_origin=EXTERNAL,"},
        {"resource=" KMS_INPUT_DEFAULT_ARN "1|action=kms:Decrypt|spec=RSA_2048|same=1|tls=0", "",
         "reencrypt_on_same_key=true,key_spec=RSA_2048,key_usage=null,key_origin=null,encryption_algorithm="
         "null,"},
        {"resource=" KMS_INPUT_DEFAULT_ARN
         "1|via=secretsmanager.us-east-1.amazonaws.com|tls=0|spec=SYMMETRIC_DEFAULT|"
         "usage=ENCRYPT_DECRYPT|origin=AWS_KMS|algorithm=SYMMETRIC_DEFAULT",
         "", "via_service=secretsmanager.us-east-1.amazonaws.com,"},
        {"action=secretsmanager:GetSecretValue|resource=" SECRET_A "|tls=0|stage=AWSCURRENT|tag:team=x", "",
         "resource=" SECRET_A ",resource_tags/team=x,secret_version_stage=AWSCURRENT,"},
        {"action=secretsmanager:DeleteSecret|resource=" SECRET_A "|tls=0|force=0|recovery=7", "",
         "resource=" SECRET_A ",recovery_window_days=7,force_delete=false,"},
        {"action=secretsmanager:CreateSecret|resource=|tls=0|name=shop/db|kmskey=alias/a|kmsarn=" KEY_A, "",
         "secret_name=shop/db,secret_kms_key_id=alias/a,secret_kms_key_arn=" KEY_A ","},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct asked asked;
        ask(rows[i].asked, &asked);
        for (enum kms_input_scope scope = KMS_INPUT_CALL; scope <= KMS_INPUT_ACCESS; scope++) {
            KMS_OWN_BUF text = {0};
            kms_inputs_of(&asked.request, scope, &inputs);
            for (size_t k = 0; k < inputs.count; k++) {
                struct kms_pair pair = inputs.pairs[k];
                if (pair.value.ptr == NULL) pair.value = kms_bytes_text("null");
                KMS_ASSERT_OK(kms_buf_print(&text, "%.*s=%.*s,", (int)pair.name.len,
                                            (const char *)pair.name.ptr, (int)pair.value.len,
                                            (const char *)pair.value.ptr));
            }
            const char *want = scope == KMS_INPUT_CALL ? rows[i].call : rows[i].access;
            CU_ASSERT_STRING_EQUAL(text.data != NULL ? (const char *)text.data : "", want);
        }
        there_and_back(&asked.request, NULL);
    }
}

static struct kms_pool kept;

static kms_err set(struct kms_access_request *request, const char *name, const char *value,
                   struct kms_why *why)
{
    return kms_input_set(request, (struct kms_pair){kms_bytes_text(name), kms_bytes_text(value)}, &kept, why);
}

/* A simulated request takes each input by the name of its condition key, in any case. */
static void set_by_name(void)
{
    struct kms_access_request request = {.action = KMS_ACT_DECRYPT};
    struct kms_why why = {""};
    KMS_ASSERT_OK(set(&request, "AWS:sourceip", "10.1.2.3", &why));
    KMS_ASSERT_OK(set(&request, "kms:keySpec", "RSA_2048", &why));
    KMS_ASSERT_OK(set(&request, "aws:CurrentTime", "1970-01-01T00:00:02Z", &why));
    KMS_ASSERT_OK(set(&request, "kms:ReEncryptOnSameKey", "False", &why));
    KMS_ASSERT_OK(set(&request, "aws:SecureTransport", "true", &why));
    CU_ASSERT(kms_bytes_equal(request.source_ip, kms_bytes_text("10.1.2.3")));
    CU_ASSERT(kms_bytes_equal(request.key_spec, kms_bytes_text("RSA_2048")));
    CU_ASSERT_EQUAL(request.now_us, 2000000);
    CU_ASSERT(request.reencrypt_on_same_key_known && !request.reencrypt_on_same_key);
    CU_ASSERT(request.secure_transport);
    KMS_ASSERT_OK(set(&request, "KMS:viaservice", "secretsmanager.x", &why));
    CU_ASSERT(kms_bytes_equal(request.via_service, kms_bytes_text("secretsmanager.x")));
    KMS_ASSERT_OK(set(&request, "aws:sourcevpc", "vpc-1", &why)); /* nobody has it: in simulations only */
    KMS_ASSERT_OK(set(&request, "aws:PrincipalTag/team", "a", &why));
    CU_ASSERT_EQUAL(request.inputs->foreign_count, 2);
    KMS_ASSERT_CODE(set(&request, "aws:UserAgent", "x", &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(set(&request, "aws:PrincipalArn", "x", &why),
                    INVALID_ARGUMENT); /* the principal itself */
    KMS_ASSERT_CODE(set(&request, "aws:CurrentTime", "noon", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "aws:CurrentTime: 'noon' is not a time"));
    KMS_ASSERT_CODE(set(&request, "aws:SecureTransport", "maybe", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "not true or false"));
    KMS_ASSERT_CODE(set(&request, "kms:KeySpec", "", &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(set(&request, "kms:KeySpce", "x", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "did you mean kms:KeySpec"));
    KMS_ASSERT_CODE(set(&request, "kms:RotationPeriodInDays", "1.5", &why), INVALID_ARGUMENT);
    CU_ASSERT(says(&why, "'1.5' is not a number of days"));
    KMS_ASSERT_CODE(set(&request, "aws:ResourceTag/", "x", &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(set(&request, "key_spec", "x", &why), INVALID_ARGUMENT);
    CU_ASSERT_EQUAL(request.now_us, 2000000);
    kms_pool_free(&kept);
}

/* Whatever a policy can ask of a request (condition_key.def) is an input, or stands in the record itself. */
static void every_condition_key_has_an_input(void)
{
    static const char *const elsewhere[] = {
        "kms:EncryptionContext:",
        "kms:EncryptionContextKeys", /* the context */
        "aws:EpochTime",             /* aws:CurrentTime in seconds */
        "kms:CustomerMasterKeySpec",
        "kms:CustomerMasterKeyUsage",  /* old names */
        "aws:RequestedRegion",         /* from the resource */
        "secretsmanager:SecretId",     /* the same */
        "secretsmanager:ResourceTag/", /* aws:ResourceTag/NAME */
    };
    for (enum kms_condition_key i = 0; i < KMS_CONDITION_KEY_COUNT; i++) {
        const struct kms_condition_key_row *row = &kms_condition_key_rows[i];
        bool found = row->about == KMS_ABOUT_CALLER || row->about == KMS_ABOUT_NOTHING; /* principal; fixed */
        for (enum kms_input k = 0; k < KMS_INPUT_COUNT; k++)
            found = found || strcmp(kms_input_key(k), row->name) == 0;
        for (size_t k = 0; k < KMS_COUNT(elsewhere); k++)
            found = found || strcmp(elsewhere[k], row->name) == 0;
        if (!found) fprintf(stderr, "\nno record says %s: it wants a row in input.def\n", row->name);
        CU_ASSERT(found);
    }
}

KMS_TEST_MAIN("policy input", {"tags without a name", tags_without_a_name},
              {"nothing is lost", nothing_is_lost}, {"every input", every_input},
              {"more than fits", more_than_fits}, {"what is usual is not said", what_is_usual_is_not_said},
              {"set by name", set_by_name},
              {"every condition key has an input", every_condition_key_has_an_input})
