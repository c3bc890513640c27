/* Foreign methods on a real server: translated at both ends, at the doors that speak them and at no other. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kms/v1/crypto.pb-c.h"
#include "kmsd/rpc/tls.h"
#include "sops/keyservice.pb-c.h"
#include "tests/harness/suite.h"
#include "world.h"

#define ENCRYPT "/kms.v1.CryptoService/Encrypt"
#define FOREIGN "/KeyService/Encrypt"

static struct kms_pipeline pipeline;
static struct kms_authn authn;
static kms_rpc *rpc;
static struct reply reply;
static struct kms_rpc_socket doors[2];

/* Only a plaintext, for the key that the door says. */
static kms_err from(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage *foreign)
{
    const EncryptRequest *asked = (const void *)foreign;
    CU_ASSERT_STRING_EQUAL(call->protocol, "sops");
    CU_ASSERT_PTR_NOT_NULL(call->identity);
    if (asked->plaintext.len == 0) {
        kms_why_set(&call->why, "nothing there");
        return KMS_FAIL(NOT_FOUND);
    }
    Kms__V1__EncryptRequest *request = kms_call_alloc(call, sizeof *request);
    kms__v1__encrypt_request__init(request);
    request->key_id = (char *)(uintptr_t)door->sops_keys[0].key;
    request->plaintext = asked->plaintext;
    call->request = &request->base;
    return KMS_OK;
}

/* The pipeline's double has echoed; what begins with '!' cannot be said. */
static kms_err to(struct kms_call *call, const struct kms_door *door, const ProtobufCMessage **ret_foreign)
{
    const Kms__V1__EncryptResponse *made = (const void *)call->reply;
    CU_ASSERT_STRING_EQUAL(made->key_id, door->sops_keys[0].key);
    if (made->ciphertext_blob.data[0] == '!') {
        kms_why_set(&call->why, "cannot be said");
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    EncryptResponse *answer = kms_call_alloc(call, sizeof *answer);
    encrypt_response__init(answer);
    answer->ciphertext = made->ciphertext_blob;
    *ret_foreign = &answer->base;
    return KMS_OK;
}

static const struct kms_dialect rows[] = {
    {.protocol = KMS_PROTOCOL_SOPS,
     .service = &key_service__descriptor,
     .rpc = "Encrypt",
     .method = "Encrypt",
     .from = from,
     .to = to},
    {.protocol = KMS_PROTOCOL_SOPS,
     .service = &key_service__descriptor,
     .rpc = "Decrypt",
     .method = "Vanish", /* there is none */
     .from = from,
     .to = to},
};

static kms_err open_world(enum kms_protocol protocol, size_t row_count, struct kms_why *why)
{
    static const struct kms_sops_key key = {KMS_SOPS_KMS, "x", "the key"};
    struct kms_rpc_options options = world_options();
    doors[0] = (struct kms_rpc_socket){.socket = {.path = world_path("foreign.sock"), .principal = "me"},
                                       .door = {.protocol = protocol, .sops_keys = &key, .sops_key_count = 1},
                                       .mode = 0600};
    doors[1] =
        (struct kms_rpc_socket){.socket = {.path = world_path("own.sock"), .principal = "me"}, .mode = 0600};
    options.sockets = doors;
    options.socket_count = 2;
    world_dialects = rows;
    world_dialect_count = row_count;
    pipeline_open(&pipeline);
    return world_start(&options, &authn, &pipeline, &rpc, why);
}

static void close_world(void)
{
    kms_rpc_free(rpc);
    rpc = NULL;
    CU_ASSERT_EQUAL(pipeline.begun, pipeline.released);
    pipeline_close(&pipeline);
}

static void call(size_t door, const char *method, const char *plaintext)
{
    uint8_t wire[100];
    EncryptRequest request;
    encrypt_request__init(&request);
    request.plaintext =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)plaintext, .len = strlen(plaintext)};
    size_t len = encrypt_request__pack(&request, wire);
    grpc_channel *channel = client_unix(doors[door].socket.path);
    client_call(channel, method, kms_bytes_of(wire, len), &reply);
    grpc_channel_destroy(channel);
}

static void translated(void)
{
    KMS_ASSERT_OK_FATAL(open_world(KMS_PROTOCOL_SOPS, 1, NULL));
    call(0, FOREIGN, "plain");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT(kms_bytes_equal(kms_bytes_of(reply.data, reply.data_len), kms_bytes_text("\x0a\x05plain")));
    call(0, FOREIGN, ""); /* from's failure gets to the pipeline, which records it */
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_NOT_FOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "nothing there"));
    CU_ASSERT(pipeline_last(&pipeline).err == KMS_E_NOT_FOUND && !pipeline_last(&pipeline).decoded);
    call(0, FOREIGN, "!"); /* to's failure is that of the call */
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_RESOURCE_EXHAUSTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "cannot be said"));
    CU_ASSERT_EQUAL(reply.data_len, 0);
    CU_ASSERT_EQUAL(pipeline.begun, 3);
    close_world();
}

static void wrong_doors(void)
{
    KMS_ASSERT_OK_FATAL(open_world(KMS_PROTOCOL_SOPS, 1, NULL));
    call(1, FOREIGN, "plain");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "of protocol sops, but kms is what this listener speaks"));
    CU_ASSERT_STRING_EQUAL(reply.reason, "UNSUPPORTED");
    call(0, ENCRYPT, "plain");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "of protocol kms, but sops is what this listener speaks"));
    grpc_channel *channel = client_tls(kms_rpc_port(rpc), "client.pem", "client.key");
    client_call(channel, FOREIGN, kms_bytes_text("\x12\x01x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    CU_ASSERT_STRING_EQUAL(reply.reason, "UNSUPPORTED");
    grpc_channel_destroy(channel);
    CU_ASSERT_EQUAL(pipeline.begun, 3); /* all of them on record */
    close_world();
}

/* Then it is a method like any other that there is not. */
static void no_door_speaks_it(void)
{
    KMS_ASSERT_OK_FATAL(open_world(KMS_PROTOCOL_KMS, 2, NULL));
    call(0, FOREIGN, "plain");
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(pipeline.begun, 0);
    close_world();
}

static void a_row_of_no_method(void)
{
    struct kms_why why = {{0}};
    KMS_ASSERT_CODE(open_world(KMS_PROTOCOL_SOPS, 2, &why), INTERNAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "/KeyService/Decrypt"));
    CU_ASSERT_PTR_NULL(rpc);
    pipeline_close(&pipeline);
}

static CU_TestInfo tests[] = {{"translated at both ends", translated},
                              {"wrong doors", wrong_doors},
                              {"no door speaks it", no_door_speaks_it},
                              {"a row of no method", a_row_of_no_method},
                              CU_TEST_INFO_NULL};

int main(void)
{
    if (kms_failed(kms_tls_only_13()) || !world_certificates()) return 1;
    grpc_init();
    int status = kms_run_suite("rpc/dialect", tests);
    grpc_shutdown();
    return status;
}
