/* A real server with a pipeline that echoes, and a real gRPC client. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kms/v1/crypto.pb-c.h"
#include "kmsd/rpc/tls.h"
#include "tests/harness/suite.h"
#include "world.h"

#define ENCRYPT "/kms.v1.CryptoService/Encrypt"

static struct kms_pipeline pipeline;
static struct kms_authn authn;
static kms_rpc *rpc;
static struct reply reply;
static struct kms_unix_mapping mapping = {.principal = "me"};
static struct kms_rpc_socket doors[2];

static void open_world(struct kms_rpc_options options)
{
    struct kms_why why = {""};
    mapping.uid = geteuid();
    doors[0] = (struct kms_rpc_socket){
        .socket = {.path = world_path("mine.sock"), .principal = "", .uids = &mapping, .uid_count = 1},
        .mode = 0600};
    doors[1] =
        (struct kms_rpc_socket){.socket = {.path = world_path("nobody.sock"), .principal = ""}, .mode = 0600};
    options.sockets = doors;
    options.socket_count = 2;
    pipeline_open(&pipeline);
    kms_err err = world_start(&options, &authn, &pipeline, &rpc, &why);
    if (kms_failed(err)) printf("\n%s", why.text);
    KMS_ASSERT_OK_FATAL(err);
}

static void close_world(void)
{
    kms_rpc_free(rpc);
    rpc = NULL;
    CU_ASSERT_EQUAL(pipeline.begun, pipeline.released);
    pipeline_close(&pipeline);
}

static grpc_channel *tls(void)
{
    return client_tls(kms_rpc_port(rpc), "client.pem", "client.key");
}

static grpc_channel *unix_socket(void)
{
    return client_unix(doors[0].socket.path);
}

static void check_echo(grpc_channel *channel, size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++) data[i] = (uint8_t)(i * 7 + len);
    client_encrypt(channel, "key", kms_bytes_of(data, len), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT_TRUE(kms_bytes_equal(kms_bytes_of(reply.data, reply.data_len), kms_bytes_of(data, len)));
    free(data);
}

static void test_ok(void)
{
    static const size_t sizes[] = {0, 1, 32, 1000, 8000, 16384, 65536}; /* one slice, several slices */
    open_world(world_options());
    grpc_channel *channel = tls();
    for (size_t i = 0; i < KMS_COUNT(sizes); i++) check_echo(channel, sizes[i]);
    struct seen last = pipeline_last(&pipeline);
    CU_ASSERT_STRING_EQUAL(last.principal, "cn:client");
    CU_ASSERT_STRING_EQUAL(last.source_ip, "127.0.0.1");
    CU_ASSERT_EQUAL(strncmp(last.peer, "ipv4:127.0.0.1:", 15), 0);
    CU_ASSERT_EQUAL(strncmp(last.client, "grpc-c/", 7), 0);
    CU_ASSERT_STRING_EQUAL(last.correlation_id, "order 66");
    CU_ASSERT_TRUE(last.has_deadline && last.deadline_in_us <= 61000000);
    CU_ASSERT_TRUE(pipeline.flushed > 0);
    grpc_channel_destroy(channel);
    channel = client_unix(doors[0].socket.path);
    for (size_t i = 0; i < KMS_COUNT(sizes); i++) check_echo(channel, sizes[i]);
    last = pipeline_last(&pipeline);
    CU_ASSERT_STRING_EQUAL(last.principal, "me");
    CU_ASSERT_STRING_EQUAL(last.source_ip, "");
    CU_ASSERT_EQUAL(strncmp(last.peer, "unix:uid=", 9), 0);
    grpc_channel_destroy(channel);
    close_world();
}

static void test_replies_at_once(void)
{
    open_world(world_options());
    pipeline.direct = true; /* released on the rpc thread itself */
    grpc_channel *channel = tls();
    for (size_t len = 0; len < 5; len++) check_echo(channel, len);
    grpc_channel_destroy(channel);
    close_world();
}

static void test_errors(void)
{
    open_world(world_options());
    grpc_channel *channel = tls();
    client_encrypt(channel, "fail", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_FAILED_PRECONDITION);
    CU_ASSERT_STRING_EQUAL(reply.message, "the key is disabled: it is off");
    CU_ASSERT_STRING_EQUAL(reply.detail_message, reply.message);
    CU_ASSERT_EQUAL(reply.detail_code, GRPC_STATUS_FAILED_PRECONDITION);
    CU_ASSERT_STRING_EQUAL(reply.reason, "KEY_DISABLED");
    CU_ASSERT_STRING_EQUAL(reply.domain, "kmsd");
    CU_ASSERT_STRING_EQUAL(reply.metadata_key, "request_id");

    client_call(channel, ENCRYPT, kms_bytes_of("\x0a\x03\x61\x00\x63", 5),
                &reply); /* recorded, though not decoded */
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(reply.message, "the request is not valid: field key_id: NUL byte");
    struct seen last = pipeline_last(&pipeline);
    CU_ASSERT_EQUAL(last.err, KMS_E_INVALID_ARGUMENT);
    CU_ASSERT_FALSE(last.decoded);
    CU_ASSERT_STRING_EQUAL(last.principal, "cn:client");

    client_call(channel, "/kms.v1.KeyService/DescribeKey", kms_bytes_text(""), &reply);
    CU_ASSERT_STRING_EQUAL(reply.reason, "UNSUPPORTED");

    pipeline.commit_fails = true; /* the answer is replaced; the cause stays inside */
    client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNAVAILABLE);
    CU_ASSERT_STRING_EQUAL(reply.reason, "AUDIT_UNAVAILABLE");
    CU_ASSERT_PTR_NULL(strstr(reply.message, "/secret/path"));
    CU_ASSERT_EQUAL(reply.data_len, 0);
    grpc_channel_destroy(channel);
    close_world();
}

/* What gRPC refuses never reaches the pipeline, or reaches it without a request. */
static void test_refused_by_grpc(void)
{
    open_world(world_options());
    grpc_channel *channel = tls();
    client_call(channel, "/kms.v1.CryptoService/Nothing", kms_bytes_text(""), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    client_call(channel, "/x", kms_bytes_text(""), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(pipeline.begun, 0);
    uint8_t *large = calloc(1, 80000);
    client_call(channel, ENCRYPT, kms_bytes_of(large, 80000), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_RESOURCE_EXHAUSTED);
    free(large);
    check_echo(channel, 10); /* the connection is none the worse */
    CU_ASSERT_EQUAL(pipeline.refused_arenas, 0);
    grpc_channel_destroy(channel);
    close_world();
}

/* At most one copy of a plaintext is in memory besides gRPC's; limits are those of what comes out. */
static void check_compressed(bool on, grpc_channel *(*open)(void))
{
    client_gzip(on);
    grpc_channel *channel = open();
    client_gzip(false);
    uint8_t *zeros = calloc(1, 80000);
    client_encrypt(channel, "key", kms_bytes_of(zeros, 60000), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT_TRUE(kms_bytes_equal(kms_bytes_of(reply.data, reply.data_len), kms_bytes_of(zeros, 60000)));
    check_echo(channel, 10);
    check_echo(channel, 65536);
    CU_ASSERT_EQUAL(pipeline_last(&pipeline).err, KMS_E_OK);
    client_encrypt(channel, "key", kms_bytes_of(zeros, 80000), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_RESOURCE_EXHAUSTED);
    if (on) CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "a compressed request of more than 70000 bytes"));
    if (on) CU_ASSERT_EQUAL(pipeline_last(&pipeline).err, KMS_E_LIMIT_EXCEEDED); /* so it is recorded */
    free(zeros);
    grpc_channel_destroy(channel);
}

static void test_compressed(void)
{
    open_world(world_options());
    check_compressed(true, tls);
    check_compressed(true, unix_socket);
    check_compressed(false, tls);
    close_world();
}

static void test_nobody(void)
{
    open_world(world_options());
    grpc_channel *channel = client_unix(doors[1].socket.path);
    client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNAUTHENTICATED);
    CU_ASSERT_STRING_EQUAL(reply.reason, "UNAUTHENTICATED");
    CU_ASSERT_PTR_NOT_NULL(strstr(reply.message, "is not mapped"));
    CU_ASSERT_EQUAL(pipeline.begun, 1); /* so it is recorded */
    CU_ASSERT_EQUAL(strncmp(pipeline_last(&pipeline).peer, "unix:uid=", 9), 0);
    grpc_channel_destroy(channel);
    authn.refuse = true;
    channel = tls();
    client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_UNAUTHENTICATED);
    CU_ASSERT_STRING_EQUAL(pipeline_last(&pipeline).source_ip, "127.0.0.1");
    authn.refuse = false;
    grpc_channel_destroy(channel);
    close_world();
}

static void test_crowd(void)
{
    open_world(world_options());
    grpc_channel *channels[] = {tls(), tls(), tls(), client_unix(doors[0].socket.path),
                                client_unix(doors[0].socket.path)};
    size_t counts[17];
    unsigned parsed = authn.certificates_parsed;
    for (int round = 0; round < 3; round++) {
        crowd_finish(crowd_start(channels, KMS_COUNT(channels), 1000), counts);
        CU_ASSERT_EQUAL(counts[GRPC_STATUS_OK], 1000);
    }
    CU_ASSERT_TRUE(authn.certificates_parsed - parsed < 50); /* about once for each connection and thread */
    for (size_t i = 0; i < KMS_COUNT(channels); i++) grpc_channel_destroy(channels[i]);
    close_world();
}

/* Above the limit calls are told so while the others are still under way. */
static void test_too_many(void)
{
    struct kms_rpc_options options = world_options();
    options.calls = 10;
    options.threads = 1;
    open_world(options);
    grpc_channel *channel = tls();
    size_t counts[17];
    pipeline_hold(&pipeline, true);
    struct crowd *crowd = crowd_start(&channel, 1, 300);
    pipeline_wait_begun(&pipeline, 10 + 64);
    pipeline_hold(&pipeline, false);
    crowd_finish(crowd, counts);
    CU_ASSERT_EQUAL(counts[GRPC_STATUS_OK] + counts[GRPC_STATUS_RESOURCE_EXHAUSTED], 300);
    CU_ASSERT_TRUE(counts[GRPC_STATUS_OK] >= 10 && counts[GRPC_STATUS_RESOURCE_EXHAUSTED] >= 64);
    check_echo(channel, 10);
    grpc_channel_destroy(channel);
    close_world();
}

/* Calls that the server has taken are answered though it is told to stop. */
static void *stop(void *arg)
{
    kms_rpc_drain_and_stop(arg);
    return NULL;
}

static void test_graceful_stop(void)
{
    open_world(world_options());
    grpc_channel *channels[] = {tls(), tls(), client_unix(doors[0].socket.path)};
    size_t counts[17];
    pthread_t stopper;
    pipeline_hold(&pipeline, true);
    struct crowd *crowd = crowd_start(channels, KMS_COUNT(channels), 300);
    pipeline_wait_begun(&pipeline, 300);
    CU_ASSERT_EQUAL(kms_rpc_active(rpc), 300);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&stopper, NULL, stop, rpc), 0);
    usleep(50000);
    pipeline_hold(&pipeline, false);
    crowd_finish(crowd, counts);
    CU_ASSERT_EQUAL(counts[GRPC_STATUS_OK], 300);
    pthread_join(stopper, NULL);
    CU_ASSERT_NOT_EQUAL(access(doors[0].socket.path, F_OK), 0);
    for (size_t i = 0; i < KMS_COUNT(channels); i++) grpc_channel_destroy(channels[i]);
    close_world();
}

/* A pipeline that is slower than drain_ms: the clients are let go, the server waits for its calls. */
static void test_cancel(void)
{
    struct kms_rpc_options options = world_options();
    options.drain_ms = 50;
    open_world(options);
    grpc_channel *channel = tls();
    size_t counts[17];
    pthread_t stopper;
    pipeline_hold(&pipeline, true);
    struct crowd *crowd = crowd_start(&channel, 1, 20);
    pipeline_wait_begun(&pipeline, 20);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&stopper, NULL, stop, rpc), 0);
    crowd_finish(crowd, counts);
    CU_ASSERT_EQUAL(counts[GRPC_STATUS_OK], 0);
    CU_ASSERT_EQUAL(kms_rpc_active(rpc), 20);
    pipeline_hold(&pipeline, false);
    pthread_join(stopper, NULL);
    grpc_channel_destroy(channel);
    close_world();
}

static void test_start_fails(void)
{
    struct kms_rpc_options options = world_options();
    struct kms_why why;
    kms_rpc *none = NULL;
    pipeline_open(&pipeline);
    options.certificate = world_path("nothing.pem");
    KMS_ASSERT_CODE(world_start(&options, &authn, &pipeline, &none, &why), IO);
    options = world_options();
    options.address = "";
    KMS_ASSERT_CODE(world_start(&options, &authn, &pipeline, &none, &why), CONFIG_INVALID);
    options = world_options();
    options.connections = 4000000000;
    KMS_ASSERT_CODE(world_start(&options, &authn, &pipeline, &none, &why), CONFIG_INVALID);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "RLIMIT_NOFILE"));
    pipeline_close(&pipeline);

    open_world(world_options());
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", kms_rpc_port(rpc));
    options = world_options();
    options.address = taken;
    KMS_ASSERT_CODE(world_start(&options, &authn, &pipeline, &none, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "cannot listen on 127.0.0.1:"));
    CU_ASSERT_PTR_NULL(none);
    close_world();
}

static CU_TestInfo tests[] = {{"failing starts leave nothing", test_start_fails},
                              {"calls on TLS and Unix sockets", test_ok},
                              {"a release on the rpc thread", test_replies_at_once},
                              {"errors carry details", test_errors},
                              {"what gRPC refuses", test_refused_by_grpc},
                              {"compressed requests", test_compressed},
                              {"peers without identity", test_nobody},
                              {"1000 calls at once on five connections", test_crowd},
                              {"calls above the limit", test_too_many},
                              {"stopping fails no call that was taken", test_graceful_stop},
                              {"stopping does not wait for ever", test_cancel},
                              CU_TEST_INFO_NULL};

int main(void)
{
    if (kms_failed(kms_tls_only_13()) || !world_certificates()) return 1;
    grpc_init();
    int status = kms_run_suite("rpc/server", tests);
    grpc_shutdown();
    return status;
}
