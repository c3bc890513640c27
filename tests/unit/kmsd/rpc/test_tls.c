/* Handshakes: who gets in, and certificates that change while the server runs. */
#include "kmsd/rpc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/suite.h"
#include "world.h"

static struct kms_pipeline pipeline;
static struct kms_authn authn;

static void test_checks(void)
{
    CU_ASSERT_FATAL(world_certificates());
    static const struct {
        const char *certificate, *key, *client_ca;
        enum kms_code code;
        const char *why;
    } cases[] = {
        {"server.pem", "server.key", "ca.pem", KMS_E_OK, ""},
        {"server.pem", "other.key", "ca.pem", KMS_E_CONFIG_INVALID,
         "other.key: not the key of the certificate"},
        {"server.key", "server.key", "ca.pem", KMS_E_CONFIG_INVALID, "server.key: no certificate"},
        {"server.pem", "server.pem", "ca.pem", KMS_E_CONFIG_INVALID, "server.pem: no private key"},
        {"server.pem", "server.key", "server.key", KMS_E_CONFIG_INVALID, "server.key: no certificate"},
        {"expired.pem", "server.key", "ca.pem", KMS_E_CONFIG_INVALID, "expired.pem: has expired"},
        {"nothing.pem", "server.key", "ca.pem", KMS_E_IO, "nothing.pem"},
        {"server.pem", "nothing.key", "ca.pem", KMS_E_IO, "nothing.key"},
        {"server.pem", "open.key", "ca.pem", KMS_E_CONFIG_INVALID, "open.key: everybody"},
        {"server.pem", "locked.key", "ca.pem", KMS_E_CONFIG_INVALID, "locked.key: no private key"},
    };
    world_copy("server.key", "open.key");
    CU_ASSERT_EQUAL_FATAL(chmod(world_path("open.key"), 0644), 0);
    char command[1200];
    snprintf(command, sizeof command,
             "umask 077; openssl ec -in '%s' -aes128 -passout pass:x -out '%s' 2>/dev/null",
             world_path("server.key"), world_path("locked.key"));
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        kms_tls *tls = NULL;
        struct kms_why why = {""};
        kms_err err = kms_tls_new(world_path(cases[i].certificate), world_path(cases[i].key),
                                  world_path(cases[i].client_ca), &tls, &why);
        CU_ASSERT_EQUAL(err.code, cases[i].code);
        CU_ASSERT_PTR_NOT_NULL(strstr(why.text, cases[i].why));
        kms_tls_free(tls);
    }
}

/* What "openssl s_client" with these options says when it talks to the server. */
static bool s_client(int port, const char *options, const char *says)
{
    char command[4096], line[512];
    snprintf(command, sizeof command,
             "cd '%s' && openssl s_client -connect 127.0.0.1:%d -alpn h2 -CAfile ca.pem %s </dev/null 2>&1",
             kms_temp_dir(), port, options);
    FILE *out = popen(command, "r");
    bool said = false;
    while (out != NULL && fgets(line, sizeof line, out) != NULL) said = said || strstr(line, says) != NULL;
    if (out != NULL) pclose(out);
    return said;
}

static void test_who_gets_in(void)
{
    struct kms_rpc_options options = world_options();
    kms_rpc *rpc = NULL;
    struct kms_why why;
    struct reply reply;
    pipeline_open(&pipeline);
    KMS_ASSERT_OK_FATAL(world_start(&options, &authn, &pipeline, &rpc, &why));
    int port = kms_rpc_port(rpc);
    CU_ASSERT_TRUE(port > 0);

    CU_ASSERT_TRUE(s_client(port, "-tls1_3 -cert client.pem -key client.key", "Verify return code: 0 (ok)"));
    CU_ASSERT_TRUE(s_client(port, "-tls1_2 -cert client.pem -key client.key", "no peer certificate"));
    CU_ASSERT_FALSE(s_client(port, "-tls1_3 -cert client.pem -key client.key", "NewSessionTicket"));

    struct {
        const char *certificate, *key;
        grpc_status_code status;
    } cases[] = {{"client.pem", "client.key", GRPC_STATUS_OK},
                 {NULL, NULL, GRPC_STATUS_UNAVAILABLE},
                 {"stranger.pem", "stranger.key", GRPC_STATUS_UNAVAILABLE}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        grpc_channel *channel = client_tls(port, cases[i].certificate, cases[i].key);
        client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
        CU_ASSERT_EQUAL(reply.status, cases[i].status);
        grpc_channel_destroy(channel);
    }
    CU_ASSERT_EQUAL(pipeline.begun, 1);
    kms_rpc_free(rpc);
    pipeline_close(&pipeline);
}

static void test_reload(void)
{
    struct kms_rpc_options options = world_options();
    kms_rpc *rpc = NULL;
    struct kms_why why;
    struct reply reply;
    world_copy("server.pem", "live.pem");
    world_copy("server.key", "live.key");
    options.certificate = world_path("live.pem");
    options.key = world_path("live.key");
    pipeline_open(&pipeline);
    KMS_ASSERT_OK_FATAL(world_start(&options, &authn, &pipeline, &rpc, &why));
    int port = kms_rpc_port(rpc);
    grpc_channel *channel = client_tls(port, "client.pem", "client.key");
    client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    struct seen before = pipeline_last(&pipeline);

    const char *shows = "-tls1_3 -cert client.pem -key client.key";
    world_copy("other.pem", "live.pem"); /* half a change: does not fit the key */
    KMS_ASSERT_CODE(kms_rpc_reload(rpc, &why), CONFIG_INVALID);
    CU_ASSERT_TRUE(s_client(port, shows, "subject=CN = localhost"));
    world_copy("other.key", "live.key");
    KMS_ASSERT_OK(kms_rpc_reload(rpc, &why));
    CU_ASSERT_TRUE(s_client(port, shows, "subject=CN = other"));

    client_encrypt(channel, "key", kms_bytes_text("x"), &reply);
    CU_ASSERT_EQUAL(reply.status, GRPC_STATUS_OK);
    CU_ASSERT_STRING_EQUAL(pipeline_last(&pipeline).peer, before.peer); /* the same connection */
    grpc_channel_destroy(channel);
    kms_rpc_free(rpc);
    pipeline_close(&pipeline);
}

static CU_TestInfo tests[] = {{"files that do not fit are refused", test_checks},
                              {"TLS 1.3 with a client certificate, nothing else", test_who_gets_in},
                              {"certificates change, connections stay", test_reload},
                              CU_TEST_INFO_NULL};

int main(void)
{
    if (kms_failed(kms_tls_only_13())) return 1;
    grpc_init();
    int status = kms_run_suite("rpc/tls", tests);
    grpc_shutdown();
    return status;
}
