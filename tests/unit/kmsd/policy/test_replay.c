/* Lines of the audit log as questions: which of them are decisions, and what each says. */
#include "kmsd/policy/replay.h"

#include <string.h>

#include "tests/unit/kmsd/policy/fixture.h"

#define FRAME(kind)                                                                                          \
    "{'seq':5,'time':'2026-11-22T12:00:00.000100Z','prev':'00','kind':'" kind "','principal':'app',"
#define ALLOWED "{'action':'kms:Decrypt','key_id':'k','decision':'allow','statement':'S'}"

static kms_err read_line(struct kms_replay *replay, const char *line, struct kms_why *why)
{
    struct kms_bytes text = quoted(line);
    return kms_replay_read(replay, text, why);
}

static void which_records_count(void)
{
    static const struct {
        const char *line;
        size_t count;
    } rows[] = {
        {FRAME("call") "'access':[" ALLOWED "]}", 1},
        {FRAME("attempt") "'access':[" ALLOWED "," ALLOWED "]}", 2},
        {FRAME("outcome") "'access':[" ALLOWED "]}", 0}, /* its attempt counts */
        {FRAME("call") "'access':[{'action':'kms:Decrypt','key_id':'k'}],'stage':'gather'}", 0},
        {FRAME("call") "'outcome':'UNAUTHENTICATED'}", 0},
        {FRAME("suppressed") "'count':9}", 0},
        {FRAME("service") "'operation':'start'}", 0},
        {"{'seq':1,'time':'x','kind':'service','segment':{'number':1}}", 0},
    };
    KMS_OWN_REPLAY replay = {.count = 0};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why = {""};
        KMS_ASSERT_OK(read_line(&replay, rows[i].line, &why));
        CU_ASSERT_EQUAL(replay.count, rows[i].count);
    }
}

static void what_each_says(void)
{
    KMS_OWN_REPLAY replay = {.count = 0};
    struct kms_why why = {""};
    KMS_ASSERT_OK_FATAL(read_line(
        &replay,
        FRAME(
            "call") "'operation':'Decrypt','access':[{'action':'kms:Encrypt','key_id':'k','key_named':'alias/"
                    "x',"
                    "'context':{'a':'1','b':'2'},'inputs':{'reencrypt_on_same_key':'false','request_alias':'"
                    "alias/x',"
                    "'key_spec':'RSA_2048','encryption_algorithm':null},'decision':'deny','statement':'S'},{'"
                    "action':'kms:ListKeys'"
                    ","
                    "'inputs':{'resource':'arn:x'},'decision':'no-match'}],'inputs':{'source_ip':'10.0.0.1'},"
                    "'outcome':'ACCESS_DENIED','latency_us':60,'shortened':"
                    "512}",
        &why));
    CU_ASSERT_EQUAL_FATAL(replay.count, 2);
    CU_ASSERT(replay.sequence == 5 && replay.shortened);
    CU_ASSERT_EQUAL(replay.started_us, UINT64_C(1795348800000040));
    CU_ASSERT_STRING_EQUAL(replay.operation, "Decrypt");
    CU_ASSERT_STRING_EQUAL(replay.outcome, "ACCESS_DENIED");
    const struct kms_replayed *first = &replay.accesses[0], *second = &replay.accesses[1];
    CU_ASSERT(first->recorded.effect == KMS_DENY_EXPLICIT && strcmp(first->recorded.statement, "S") == 0);
    CU_ASSERT_STRING_EQUAL(first->key_id, "k");
    CU_ASSERT(
        kms_bytes_equal(first->request.resource, kms_bytes_text("arn:aws:kms:us-east-1:000000000000:key/k")));
    CU_ASSERT(kms_bytes_equal(first->request.key_spec, kms_bytes_text("RSA_2048")));
    CU_ASSERT(kms_bytes_equal(first->request.key_usage, kms_bytes_text("ENCRYPT_DECRYPT")));
    CU_ASSERT(first->request.encryption_algorithm.ptr == NULL && !first->request.secure_transport);
    CU_ASSERT(first->request.reencrypt_on_same_key_known && !first->request.reencrypt_on_same_key);
    CU_ASSERT_EQUAL_FATAL(first->request.context_count, 2);
    CU_ASSERT(kms_bytes_equal(first->request.context[1].value, kms_bytes_text("2")));
    CU_ASSERT(second->key_id == NULL && second->recorded.statement == NULL);
    CU_ASSERT(kms_bytes_equal(second->request.resource, kms_bytes_text("arn:x")));
    CU_ASSERT(kms_bytes_equal(second->request.source_ip, kms_bytes_text("10.0.0.1")));
    CU_ASSERT(second->request.now_us == replay.started_us && second->request.context_count == 0);
}

/* What concerns no key is asked of the service policy; what names a key that is not there, of nobody. */
static void who_was_asked(void)
{
    static const struct {
        const char *access;
        bool service;
    } rows[] = {
        {"{'action':'kms:ListKeys','decision':'allow','statement':'S'}", true},
        {"{'action':'kms:SimulatePolicy','decision':'allow','statement':'S'}", true},
        {"{'action':'kms:SimulatePolicy','key_named':'alias/none','decision':'no-match'}", false},
        {"{'action':'kms:Decrypt','decision':'no-match'}", false},
        {"{'action':'secretsmanager:ListSecrets','decision':'allow','statement':'S'}", true},
        {"{'action':'secretsmanager:CreateSecret','secret':'" SECRET_A
         "','decision':'allow','statement':'S'}",
         false},
        {"{'action':'secretsmanager:GetSecretValue','key_named':'none','decision':'no-match'}", false},
        {ALLOWED, false},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        KMS_OWN_REPLAY replay = {.count = 0};
        struct kms_why why = {""};
        char line[600];
        snprintf(line, sizeof line, FRAME("call") "'access':[%s],'latency_us':0}", rows[i].access);
        KMS_ASSERT_OK_FATAL(read_line(&replay, line, &why));
        CU_ASSERT_EQUAL(replay.accesses[0].service, rows[i].service);
    }
}

/* A secret stands there by its ARN, which conditions are asked about. */
static void of_secrets(void)
{
    KMS_OWN_REPLAY replay = {.count = 0};
    struct kms_why why = {""};
    KMS_ASSERT_OK_FATAL(read_line(
        &replay,
        FRAME("call") "'access':[{'action':'secretsmanager:GetSecretValue','secret':'" SECRET_A
                      "','key_named':'shop/"
                      "db','inputs':{'secret_version_stage':'AWSCURRENT'},'decision':'allow',"
                      "'statement':'S'},{'action':'kms:Decrypt','key_id':'k','inputs':{'via_service':"
                      "'secretsmanager.us-east-1.amazonaws.com'},'decision':'no-match'}],'latency_us':0}",
        &why));
    const struct kms_replayed *first = &replay.accesses[0], *second = &replay.accesses[1];
    CU_ASSERT_STRING_EQUAL(first->secret, SECRET_A);
    CU_ASSERT(first->key_id == NULL && second->secret == NULL);
    CU_ASSERT(kms_bytes_equal(first->request.resource, kms_bytes_text(SECRET_A)));
    CU_ASSERT(first->request.key_spec.ptr == NULL); /* what keys usually have */
    kms_policy *policy = NULL;
    KMS_ASSERT_OK_FATAL(kms_policy_parse(
        KMS_POLICY_SECRET,
        quoted("{'Statement':{'Effect':'Allow','Principal':'*','Action':'secretsmanager:Get*','Resource':"
               "'" SECRET_A "','Condition':{'StringEquals':{'secretsmanager:VersionStage':'AWSCURRENT'}}}}"),
        &policy, &why));
    CU_ASSERT_EQUAL(kms_policy_decide(policy, &first->request).effect, KMS_ALLOW);
    kms_policy_drop(&policy);
    CU_ASSERT(kms_bytes_equal(second->request.via_service,
                              kms_bytes_text("secretsmanager.us-east-1.amazonaws.com")));
}

/* The clock was set back between the start of the call and its record. */
static void start_after_the_record(void)
{
    KMS_OWN_REPLAY replay = {.count = 0};
    struct kms_why why = {""};
    KMS_ASSERT_OK(read_line(
        &replay, FRAME("call") "'access':[" ALLOWED "],'latency_us':0,'started_us':1795348899000000}", &why));
    CU_ASSERT_EQUAL(replay.started_us, UINT64_C(1795348899000000));
}

static void what_is_not_understood(void)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"not JSON", "record"},
        {"[]", "record"},
        {FRAME("call") "'access':[{'action':'kms:Fly','decision':'allow'}]}", "action 'kms:Fly'"},
        {FRAME("call") "'access':[{'action':'kms:Decrypt','decision':'perhaps'}]}", "decision 'perhaps'"},
        {FRAME("call") "'access':[" ALLOWED "],'inputs':{'weather':'fair'}}", "input 'weather'"},
        {FRAME("call") "'access':[" ALLOWED "],'inputs':{'key_spec':'x'}}",
         "input 'key_spec'"}, /* an access's */
        {FRAME("call") "'access':[" ALLOWED "],'inputs':{'secure_transport':'maybe'}}",
         "input 'secure_transport'"},
        {"{'time':'yesterday','kind':'call','access':[" ALLOWED "]}", "time 'yesterday'"},
    };
    KMS_OWN_REPLAY replay = {.count = 0};
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_why why = {""};
        KMS_ASSERT_CODE(read_line(&replay, rows[i].line, &why), CORRUPT);
        CU_ASSERT(says(&why, rows[i].words));
        CU_ASSERT_EQUAL(replay.count, 0);
    }
}

KMS_TEST_MAIN("policy replay", {"of secrets", of_secrets}, {"who was asked", who_was_asked},
              {"which records count", which_records_count}, {"what each says", what_each_says},
              {"a start after the record", start_after_the_record},
              {"what is not understood", what_is_not_understood})
