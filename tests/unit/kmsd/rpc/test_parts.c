/* Foreign calls that are several of ours, or none, on a real server: a part for each letter. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kms/v1/crypto.pb-c.h"
#include "kmsd/rpc/tls.h"
#include "sops/keyservice.pb-c.h"
#include "tests/harness/suite.h"
#include "world.h"

#define MANY "/KeyService/Encrypt"
#define NONE "/KeyService/Decrypt"

static struct kms_pipeline pipeline;
static struct kms_authn authn;
static kms_rpc *rpc;
static struct reply reply;
static struct kms_rpc_socket door;

struct plan {
    const char *asked;
    char *answer;
};

static kms_err split(struct kms_call *call, const struct kms_door *at, const ProtobufCMessage *foreign,
                     struct kms_parts *ret_parts)
{
    const EncryptRequest *asked = (const void *)foreign;
    struct plan *plan = kms_call_alloc(call, sizeof *plan);
    CU_ASSERT_STRING_EQUAL(call->identity->principal, "me");
    CU_ASSERT_EQUAL(at->protocol, KMS_PROTOCOL_SOPS);
    plan->asked =
        kms_arena_print(&call->arena, "%.*s", (int)asked->plaintext.len, (const char *)asked->plaintext.data);
    plan->answer = kms_call_alloc(call, asked->plaintext.len + 1);
    if (plan->asked[0] == '-') {
        kms_why_set(&call->why, "cannot be split");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    *ret_parts = (struct kms_parts){.count = strlen(plan->asked), .principal = "somebody", .plan = plan};
    return KMS_OK;
}

/* The pipeline's double echoes but for 'f'. */
static kms_err from(struct kms_call *part, const struct kms_parts *parts, size_t at)
{
    const struct plan *plan = parts->plan;
    CU_ASSERT_STRING_EQUAL(part->identity->principal, "somebody");
    CU_ASSERT_STRING_EQUAL(part->protocol, "sops");
    if (plan->asked[at] == '!') {
        kms_why_set(&part->why, "cannot be asked");
        return KMS_FAIL(NOT_FOUND);
    }
    Kms__V1__EncryptRequest *request = kms_call_alloc(part, sizeof *request);
    kms__v1__encrypt_request__init(request);
    request->key_id = (char *)(uintptr_t)(plan->asked[at] == 'f' ? "fail" : "good");
    request->plaintext = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)(plan->asked + at), .len = 1};
    part->request = &request->base;
    return KMS_OK;
}

static kms_err to(struct kms_call *part, const struct kms_parts *parts, size_t at)
{
    const Kms__V1__EncryptResponse *made = (const void *)part->reply;
    struct plan *plan = parts->plan;
    plan->answer[at] = (char)made->ciphertext_blob.data[0];
    if (plan->answer[at] != '?') return KMS_OK;
    kms_why_set(&part->why, "cannot be said");
    return KMS_FAIL(LIMIT_EXCEEDED);
}

static kms_err join(struct kms_call *call, const struct kms_parts *parts,
                    const ProtobufCMessage **ret_foreign)
{
    const struct plan *plan = parts->plan;
    CU_ASSERT_EQUAL(strlen(plan->answer), parts->count);
    if (plan->answer[0] == 'j') {
        kms_why_set(&call->why, "cannot be joined");
        return KMS_FAIL(INTERNAL);
    }
    EncryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    encrypt_response__init(answer);
    answer->ciphertext = (ProtobufCBinaryData){.data = (uint8_t *)plan->answer, .len = parts->count};
    *ret_foreign = &answer->base;
    return KMS_OK;
}

static const char *name(struct kms_call *call, const struct kms_parts *parts, size_t at)
{
    (void)parts;
    return kms_arena_print(&call->arena, "part %zu", at);
}

static kms_err answer(struct kms_call *call, const ProtobufCMessage *foreign,
                      const ProtobufCMessage **ret_foreign)
{
    const DecryptRequest *asked = (const void *)foreign;
    if (asked->ciphertext.len == 0) {
        kms_why_set(&call->why, "nothing there");
        return KMS_FAIL(NOT_FOUND);
    }
    DecryptResponse *said = kms_call_alloc(call, sizeof *said);
    decrypt_response__init(said);
    said->plaintext = asked->ciphertext;
    *ret_foreign = &said->base;
    return KMS_OK;
}

static const struct kms_dialect_split letters = {split, from, to, join, name};
static const struct kms_dialect rows[] = {
    {.protocol = KMS_PROTOCOL_SOPS,
     .service = &key_service__descriptor,
     .rpc = "Encrypt",
     .method = "Encrypt",
     .split = &letters},
    {.protocol = KMS_PROTOCOL_SOPS,
     .service = &key_service__descriptor,
     .rpc = "Decrypt",
     .method = "DescribeKey",
     .answer = answer},
};

static void open_world(unsigned calls)
{
    struct kms_rpc_options options = world_options();
    door = (struct kms_rpc_socket){.socket = {.path = world_path("parts.sock"), .principal = "me"},
                                   .door = {.protocol = KMS_PROTOCOL_SOPS},
                                   .mode = 0600};
    options.sockets = &door;
    options.socket_count = 1;
    options.calls = calls;
    world_dialects = rows;
    world_dialect_count = KMS_COUNT(rows);
    pipeline_open(&pipeline);
    KMS_ASSERT_OK_FATAL(world_start(&options, &authn, &pipeline, &rpc, NULL));
}

static void close_world(size_t begun)
{
    kms_rpc_free(rpc);
    rpc = NULL;
    CU_ASSERT_EQUAL(pipeline.begun, begun);
    CU_ASSERT_EQUAL(pipeline.released, begun);
    pipeline_close(&pipeline);
}

static void call(const char *method, const char *text)
{
    uint8_t wire[400];
    EncryptRequest request;
    encrypt_request__init(&request);
    request.plaintext = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
    size_t len = encrypt_request__pack(&request, wire);
    grpc_channel *channel = client_unix(door.socket.path);
    client_call(channel, method, kms_bytes_of(wire, len), &reply);
    grpc_channel_destroy(channel);
}

static void check_fails(const char *text, grpc_status_code status, const char *words)
{
    call(MANY, text);
    CU_ASSERT_EQUAL(reply.status, status);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, words));
    CU_ASSERT_EQUAL(reply.data_len, 0);
    if (strstr(reply.message, words) == NULL) fprintf(stderr, "\n%s: %s\n", text, reply.message);
}

static void check_letters(const char *text)
{
    char want[300];
    snprintf(want, sizeof want, "\x0a%c%s", (char)strlen(text), text);
    call(MANY, text);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT(kms_bytes_equal(kms_bytes_of(reply.data, reply.data_len), kms_bytes_text(want)));
}

static void all_together(void)
{
    open_world(2000);
    check_letters("a");
    check_letters("gh");
    check_letters(
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890");
    close_world(1 + 2 + 91);
}

/* Answered on the spot, or in any order. */
static void whenever_they_end(void)
{
    open_world(2000);
    pipeline.direct = true;
    check_letters("abc");
    pipeline.direct = false;
    check_fails("abfc", GRPC_STATUS_FAILED_PRECONDITION, "part 2: it is off");
    close_world(7);
}

static void one_that_fails(void)
{
    open_world(2000);
    check_fails("-bc", GRPC_STATUS_INVALID_ARGUMENT, "cannot be split"); /* on record as one call */
    CU_ASSERT_STRING_EQUAL(pipeline_last(&pipeline).principal, "me");
    check_fails("ab!", GRPC_STATUS_NOT_FOUND, "part 2: cannot be asked");
    check_fails("?b", GRPC_STATUS_RESOURCE_EXHAUSTED, "part 0: cannot be said");
    check_fails("a?f!", GRPC_STATUS_RESOURCE_EXHAUSTED, "part 1: cannot be said"); /* the first */
    CU_ASSERT_STRING_EQUAL(pipeline_last(&pipeline).principal, "somebody");
    check_fails("jb", GRPC_STATUS_INTERNAL, "");
    pipeline.commit_fails = true;
    check_fails("ab", GRPC_STATUS_UNAVAILABLE, "");
    CU_ASSERT_STRING_EQUAL(reply.reason, "AUDIT_UNAVAILABLE");
    CU_ASSERT_PTR_NULL(strstr(reply.message, "disk"));
    pipeline.commit_fails = false;
    check_letters("ab");
    close_world(1 + 3 + 2 + 4 + 2 + 2 + 2);
}

/* A call counts until gRPC has sent its answer, which the client may have before. */
static void wait_idle(void)
{
    for (int i = 0; i < 20000 && kms_rpc_active(rpc) > 0; i++) usleep(1000);
    CU_ASSERT_EQUAL(kms_rpc_active(rpc), 0);
}

static void each_counts_as_a_call(void)
{
    open_world(16);
    check_letters("0123456789abcde");
    wait_idle();
    check_fails("0123456789abcdef", GRPC_STATUS_RESOURCE_EXHAUSTED, "16 calls at once, and 16 may be active");
    wait_idle();
    check_letters("0123456789abcde");
    wait_idle();
    close_world(15 + 1 + 15);
}

static void no_call_at_all(void)
{
    open_world(2000);
    call(NONE, "said");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT(kms_bytes_equal(kms_bytes_of(reply.data, reply.data_len), kms_bytes_text("\x0a\x04said")));
    CU_ASSERT_EQUAL(pipeline.begun, 0);
    call(NONE, "");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_NOT_FOUND);
    authn.refuse = true;
    call(NONE, "said");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNAUTHENTICATED);
    authn.refuse = false;
    close_world(2);
}

static CU_TestInfo tests[] = {
    {"all together", all_together},     {"whenever they end", whenever_they_end},
    {"one that fails", one_that_fails}, {"each counts as a call", each_counts_as_a_call},
    {"no call at all", no_call_at_all}, CU_TEST_INFO_NULL};

int main(void)
{
    if (kms_failed(kms_tls_only_13()) || !world_certificates()) return 1;
    grpc_init();
    int status = kms_run_suite("rpc/parts", tests);
    grpc_shutdown();
    return status;
}
