/* What the audit log is told of a call: who, what, on which key, decided how; nothing of the plaintext. */
#include "kmsd/service/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kmsd/audit/encode.h"
#include "kmsd/policy/input.h"
#include "kmsd/policy/replay.h"
#include "kmsd/service/method.h"
#include "tests/unit/kmsd/service/world.h"

#define KEY1   "abcd0000-0000-4000-8000-000000000001"
#define SECRET "the plaintext"

static const struct kms_method encrypt = {.service = &kms__v1__crypto_service__descriptor,
                                          .rpc = "Encrypt",
                                          .action = KMS_ACT_ENCRYPT,
                                          .lane = KMS_LANE_CRYPTO},
                               disable = {.service = &kms__v1__key_service__descriptor,
                                          .rpc = "DisableKey",
                                          .action = KMS_ACT_DISABLE_KEY,
                                          .lane = KMS_LANE_ADMIN};
static struct kms_record space;

static void kinds(void)
{
    static const struct {
        const struct kms_method *method;
        bool attempt;
        enum kms_stage stage;
        enum kms_audit_kind kind;
        const char *said;
    } cases[] = {
        {&encrypt, false, KMS_STAGE_FINISH, KMS_AUDIT_CALL, "finish"},
        {&encrypt, false, KMS_STAGE_RPC, KMS_AUDIT_CALL, "rpc"},
        {&encrypt, false, KMS_STAGE_HSM, KMS_AUDIT_CALL, "hsm"},
        {&disable, true, KMS_STAGE_DECIDE, KMS_AUDIT_ATTEMPT, "decide"},
        {&disable, false, KMS_STAGE_ACT, KMS_AUDIT_OUTCOME, "act"},
        {&disable, false, KMS_STAGE_DECIDE, KMS_AUDIT_CALL, "decide"}, /* denied: no attempt to close */
        {&disable, false, KMS_STAGE_AUTHN, KMS_AUDIT_CALL, "authn"},
    };
    struct world world;
    world_open(&world, NULL);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_call call;
        world_call(&world, &call, cases[i].method);
        call.attempt = cases[i].attempt;
        call.stage = cases[i].stage;
        const struct kms_audit_event *event = kms_record_of(&call, &space);
        CU_ASSERT_EQUAL(event->kind, cases[i].kind);
        CU_ASSERT_STRING_EQUAL(event->stage, cases[i].said);
        kms_call_end(&call);
    }
    world_close(&world);
}

static void who_and_what(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    world_call(&world, &call, &encrypt);
    memcpy(call.peer, "unix:uid=1", 11);
    memcpy(call.client, "agent", 6);
    memcpy(call.correlation_id, "cid", 4);
    call.err = kms_call_fail(&call, KMS_FAIL(KEY_DISABLED), "key %s", KEY1);
    call.noted = "something";
    const struct kms_audit_event *event = kms_record_of(&call, &space);
    CU_ASSERT_STRING_EQUAL(event->principal, "app");
    CU_ASSERT_STRING_EQUAL(event->principal_source, "unix");
    CU_ASSERT_STRING_EQUAL(event->peer, "unix:uid=1");
    CU_ASSERT_STRING_EQUAL(event->service, "kms.v1.CryptoService");
    CU_ASSERT_STRING_EQUAL(event->operation, "Encrypt");
    CU_ASSERT_STRING_EQUAL(event->class, "usage");
    CU_ASSERT(kms_bytes_equal(event->client, kms_bytes_text("agent")));
    CU_ASSERT(kms_bytes_equal(event->correlation_id, kms_bytes_text("cid")));
    CU_ASSERT(kms_id_equal(&event->request_id, &call.request_id));
    CU_ASSERT_EQUAL(event->started_us, call.started_us);
    KMS_ASSERT_CODE(event->outcome, KEY_DISABLED);
    CU_ASSERT_STRING_EQUAL(event->detail, "key " KEY1);
    CU_ASSERT_EQUAL(event->extra_count, 1);
    CU_ASSERT(kms_bytes_equal(event->extra[0].value, kms_bytes_text("something")));
    kms_call_end(&call);
    world_close(&world);
}

static void nobody(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    world_call_of(&world, &call, &encrypt, NULL);
    const struct kms_audit_event *event = kms_record_of(&call, &space);
    CU_ASSERT(event->principal == NULL && event->principal_source == NULL && event->detail == NULL);
    CU_ASSERT(event->access_count == 0 && event->extra_count == 0 && !event->has_mark);
    kms_call_end(&call);
    world_close(&world);
}

static void every_access_with_its_context(void)
{
    struct kms_pair pairs[] = {{kms_bytes_text("app"), kms_bytes_text("shop")},
                               {kms_bytes_text("env"), kms_bytes_text("prod")}};
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "ReEncryptFrom");
    world_call(&world, &call, &encrypt);
    call.access_count = 4;
    call.access[0] = (struct kms_access){.action = KMS_ACT_REENCRYPT_FROM,
                                         .key = kms_key_ref(key),
                                         .version = 3,
                                         .context = pairs,
                                         .context_count = 2,
                                         .decision = {KMS_ALLOW, "Sid1"}};
    call.access[1] = (struct kms_access){.action = KMS_ACT_REENCRYPT_TO,
                                         .named = kms_bytes_text("alias/x"),
                                         .alias = kms_bytes_text("alias/x"),
                                         .decision = {KMS_DENY_IMPLICIT, NULL}};
    call.access[2] = (struct kms_access){
        .action = KMS_ACT_DECRYPT, .alias = kms_bytes_text("alias/y"), .decision = {KMS_DENY_EXPLICIT, "#2"}};
    call.access[3] = (struct kms_access){.action = KMS_ACT_LIST_KEYS, .service = true};
    for (int decided = 0; decided < 2; decided++) {
        call.stage = decided ? KMS_STAGE_DECIDE : KMS_STAGE_GATHER;
        const struct kms_audit_event *event = kms_record_of(&call, &space);
        CU_ASSERT_EQUAL_FATAL(event->access_count, 4);
        const struct kms_audit_access *a = event->access;
        CU_ASSERT_STRING_EQUAL(a[0].action, "kms:ReEncryptFrom");
        CU_ASSERT_STRING_EQUAL(a[0].key_id, KEY1);
        CU_ASSERT(a[0].key_version == 3 && a[0].context_count == 2);
        CU_ASSERT(kms_bytes_equal(a[0].context[1].name, pairs[1].name) &&
                  kms_bytes_equal(a[0].context[1].value, pairs[1].value));
        CU_ASSERT(a[1].key_id == NULL && a[1].context_count == 0);
        CU_ASSERT(kms_bytes_equal(a[1].key_named, kms_bytes_text("alias/x")));
        CU_ASSERT(kms_bytes_equal(a[2].key_named, kms_bytes_text("alias/y")));
        CU_ASSERT_STRING_EQUAL(a[3].action, "kms:ListKeys");
        CU_ASSERT_EQUAL(a[0].decision != NULL, decided);
    }
    CU_ASSERT_STRING_EQUAL(space.event.access[0].decision, "allow");
    CU_ASSERT_STRING_EQUAL(space.event.access[0].statement, "Sid1");
    CU_ASSERT_STRING_EQUAL(space.event.access[1].decision, "no-match");
    CU_ASSERT_STRING_EQUAL(space.event.access[2].decision, "deny");
    CU_ASSERT_STRING_EQUAL(space.event.access[2].statement, "#2");
    kms_call_end(&call);
    world_close(&world);
}

static void marks_and_bypass(void)
{
    struct world world;
    struct kms_call call;
    world_open(&world, NULL);
    world_call(&world, &call, &disable);
    call.stage = KMS_STAGE_ACT;
    call.changed_store = true;
    call.mark = (struct kms_store_mark){.revision = 42, .digest = {9, 8}};
    call.may_bypass_lockout = call.bypass_lockout = true;
    const struct kms_audit_event *event = kms_record_of(&call, &space);
    CU_ASSERT(event->has_mark && event->store_revision == 42 && event->store_digest[1] == 8);
    CU_ASSERT_EQUAL(event->extra_count, 1);
    CU_ASSERT(kms_bytes_equal(event->extra[0].name, kms_bytes_text("bypass_policy_lockout")));
    call.attempt = true;
    CU_ASSERT_FALSE(kms_record_of(&call, &space)->has_mark); /* nothing has changed yet */
    kms_call_end(&call);
    world_close(&world);
}

/* The record as it is written, with plaintext everywhere where a call has some. */
static void nothing_of_the_plaintext(void)
{
    struct world world;
    struct kms_call call;
    uint8_t secret[] = SECRET;
    char name[] = KEY1;
    Kms__V1__EncryptRequest request;
    Kms__V1__DecryptResponse reply;
    kms__v1__encrypt_request__init(&request);
    kms__v1__decrypt_response__init(&reply);
    request.key_id = name;
    request.plaintext = reply.plaintext = (ProtobufCBinaryData){.data = secret, .len = sizeof secret - 1};
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "Encrypt");
    world_call(&world, &call, &kms_methods[0]);
    CU_ASSERT_STRING_EQUAL(call.method->rpc, "Encrypt");
    atomic_store(&key->versions[0].budget->left, 1);
    call.request = &request.base;
    call.reply = &reply.base;
    CU_ASSERT_EQUAL(kms_dispatch_begin(&call), KMS_NEXT_HSM);
    CU_ASSERT(kms_bytes_equal(call.job.input, kms_bytes_text(SECRET)));
    static uint8_t line[KMS_AUDIT_BODY_BYTES + 1];
    size_t len;
    KMS_ASSERT_OK_FATAL(kms_audit_encode(kms_record_of(&call, &space), "test", 1, line, &len));
    line[len] = '\0';
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)line, KEY1));
    CU_ASSERT_PTR_NULL(memmem(line, len, SECRET, strlen(SECRET)));
    CU_ASSERT_PTR_NULL(memmem(line, len, "plaintext", 9));
    kms_call_end(&call);
    world_close(&world);
}

/* The line as kmsctl reads it back. */
static void read_back(const struct kms_call *call, struct kms_replay *replay)
{
    static uint8_t line[KMS_AUDIT_BODY_BYTES];
    struct kms_why why = {""};
    char time[KMS_TIME_TEXT];
    uint64_t now_us = call->started_us + 812;
    size_t len;
    KMS_OWN_BUF text = {0};
    KMS_ASSERT_OK_FATAL(kms_audit_encode(kms_record_of(call, &space), "test", now_us, line, &len));
    kms_time_text(now_us, time);
    KMS_ASSERT_OK_FATAL(
        kms_buf_print(&text, "{\"seq\":7,\"time\":\"%s\"%.*s}", time, (int)len, (const char *)line));
    KMS_ASSERT_OK_FATAL(kms_replay_read(replay, kms_buf_view(&text), &why));
}

static bool same_text(struct kms_bytes a, struct kms_bytes b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && kms_bytes_equal(a, b);
}

static void check_same(const struct kms_access_request *a, const struct kms_access_request *b)
{
    CU_ASSERT(same_text(a->principal, b->principal) && a->action == b->action);
    CU_ASSERT(kms_bytes_equal(a->resource, b->resource) && a->now_us == b->now_us);
    CU_ASSERT_EQUAL_FATAL(a->context_count, b->context_count);
    for (size_t i = 0; i < a->context_count; i++)
        CU_ASSERT(same_text(a->context[i].name, b->context[i].name) &&
                  same_text(a->context[i].value, b->context[i].value));
    for (enum kms_input_scope scope = KMS_INPUT_CALL; scope <= KMS_INPUT_ACCESS; scope++) {
        static struct kms_inputs of_a, of_b;
        kms_inputs_of(a, scope, &of_a);
        kms_inputs_of(b, scope, &of_b);
        CU_ASSERT_EQUAL_FATAL(of_a.count, of_b.count);
        for (size_t i = 0; i < of_a.count; i++)
            CU_ASSERT(same_text(of_a.pairs[i].name, of_b.pairs[i].name) &&
                      same_text(of_a.pairs[i].value, of_b.pairs[i].value));
    }
}

/* What a decision was made from can be had back from its record, whatever became of the call. */
static void replayed_as_asked(void)
{
    static const char *const ips[] = {"", "192.0.2.7"};
    struct kms_pair pairs[] = {{kms_bytes_text("app"), kms_bytes_text("Müller & \"Co\"\n")}};
    struct world world;
    KMS_OWN_REPLAY replay = {.count = 0};
    const struct kms_bytes operations[] = {kms_bytes_text("Decrypt"), kms_bytes_text("Encrypt")};
    const struct kms_operation_inputs inputs = {.message_type = kms_bytes_text("RAW"),
                                                .grant_operations = operations,
                                                .grant_operation_count = 2,
                                                .valid_to_us = 1795348800000001,
                                                .pending_window_days = 30,
                                                .request_tags = pairs,
                                                .request_tag_count = 1};
    world_open(&world, NULL);
    KMS_OWN_KEY key = world_key(&world, 1, KMS_LEVEL_HSM, "ReEncryptFrom");
    for (int i = 0; i < 8; i++) {
        struct kms_call call;
        world_call(&world, &call, &encrypt);
        call.stage = KMS_STAGE_DECIDE;
        call.started_us = 1795348800123456;
        snprintf(call.source_ip, sizeof call.source_ip, "%s", ips[i & 1]);
        call.reencrypt = call.may_bypass_lockout = (i & 2) != 0;
        call.bypass_lockout = (i & 4) != 0;
        call.access_count = 4;
        call.access[0] = (struct kms_access){.action = KMS_ACT_REENCRYPT_FROM,
                                             .key = kms_key_ref(key),
                                             .context = pairs,
                                             .context_count = 1,
                                             .decision = {KMS_ALLOW, "Sid1"}};
        call.access[1] = (struct kms_access){.action = KMS_ACT_DESCRIBE_KEY,
                                             .key = i & 1 ? kms_key_ref(key) : NULL,
                                             .alias = kms_bytes_text("alias/x"),
                                             .inputs = i & 2 ? &inputs : NULL,
                                             .decision = {KMS_DENY_EXPLICIT, "#2"}};
        call.access[2] = (struct kms_access){.action = KMS_ACT_CREATE_KEY, .service = true};
        call.access[3] = (struct kms_access){.action = KMS_ACT_DECRYPT}; /* of a key that is not there */
        read_back(&call, &replay);
        CU_ASSERT(replay.sequence == 7 && replay.started_us == call.started_us && !replay.shortened);
        CU_ASSERT_EQUAL_FATAL(replay.count, 4);
        for (size_t k = 0; k < 4; k++) {
            struct kms_question question;
            kms_question_of(&call, &call.access[k], &question);
            check_same(&replay.accesses[k].request, &question.request);
            CU_ASSERT_EQUAL(replay.accesses[k].recorded.effect, call.access[k].decision.effect);
            CU_ASSERT_EQUAL(replay.accesses[k].key_id == NULL, question.key_id == NULL);
        }
        CU_ASSERT_STRING_EQUAL(replay.accesses[1].recorded.statement, "#2");
        kms_call_end(&call);
    }
    world_close(&world);
}

KMS_TEST_MAIN("service/record", {"kinds", kinds}, {"who and what", who_and_what}, {"nobody", nobody},
              {"every access with its context", every_access_with_its_context},
              {"marks and bypass", marks_and_bypass}, {"nothing of the plaintext", nothing_of_the_plaintext},
              {"replayed as asked", replayed_as_asked})
