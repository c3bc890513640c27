/*
 * kmsd-empty: the transport of kmsd with nothing behind it, the base of the ratios that the benches report.
 * It takes Encrypt, decodes it, and answers an empty EncryptResponse at once on the same thread: no policy,
 * no HSM, no audit.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kms/v1/crypto.pb-c.h"
#include "kmsd/rpc/rpc.h"

/* --- a pipeline that ends where it begins --- */

struct kms_pipeline {
    struct kms_transport transport;
};

void kms_pipeline_set_transport(kms_pipeline *pipeline, const struct kms_transport *transport)
{
    pipeline->transport = *transport;
}

void kms_pipeline_begin(kms_pipeline *pipeline, unsigned lane, struct kms_call *call)
{
    (void)lane;
    Kms__V1__EncryptResponse *reply = kms_call_alloc(call, sizeof *reply);
    if (reply != NULL) {
        kms__v1__encrypt_response__init(reply);
        call->reply = &reply->base;
    } else if (!kms_failed(call->err)) {
        call->err = KMS_FAIL(NO_MEMORY);
    }
    pipeline->transport.encode(pipeline->transport.self, call);
    pipeline->transport.release(pipeline->transport.self, &call, 1);
}

void kms_pipeline_flush(kms_pipeline *pipeline, unsigned lane)
{
    (void)pipeline, (void)lane;
}

void kms_pipeline_written(kms_pipeline *pipeline, struct kms_call *call, bool ok)
{
    (void)pipeline, (void)call, (void)ok;
}

void kms_pipeline_end_streams(kms_pipeline *pipeline)
{
    (void)pipeline;
}

void kms_call_end(struct kms_call *call)
{
    kms_identity_unref(call->identity);
    kms_arena_wipe(&call->arena);
}

const ProtobufCMethodDescriptor *kms_method_codec(const struct kms_method *method)
{
    return protobuf_c_service_descriptor_get_method_by_name(method->service, method->rpc);
}

void kms_method_path(const struct kms_method *method, char path[KMS_METHOD_PATH_BYTES])
{
    snprintf(path, KMS_METHOD_PATH_BYTES, "/%s/%s", method->service->name, method->rpc);
}

/* --- the program --- */

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"unix", required_argument, NULL, 'u'},
    {"threads", required_argument, NULL, 't'},
    {"certificate", required_argument, NULL, 'c'},
    {"key", required_argument, NULL, 'k'},
    {"client-ca", required_argument, NULL, 'a'},
    {NULL, 0, NULL, 0},
};

static bool read_options(int argc, char **argv, struct kms_rpc_options *options, struct kms_rpc_socket *door)
{
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 'l':
            options->address = optarg;
            break;
        case 'u':
            *door =
                (struct kms_rpc_socket){.socket = {.path = optarg, .principal = "unix:bench"}, .mode = 0600};
            options->sockets = door;
            options->socket_count = 1;
            break;
        case 't':
            options->threads = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            options->certificate = optarg;
            break;
        case 'k':
            options->key = optarg;
            break;
        case 'a':
            options->client_ca = optarg;
            break;
        default:
            return false;
        }
    }
    bool certificates = options->certificate != NULL && options->key != NULL && options->client_ca != NULL;
    return optind == argc && (options->address[0] == '\0' || certificates);
}

int main(int argc, char **argv)
{
    static const struct kms_method method = {
        .service = &kms__v1__crypto_service__descriptor, .rpc = "Encrypt", .lane = KMS_LANE_CRYPTO};
    struct kms_rpc_socket door;
    struct kms_rpc_options options = {.address = "",
                                      .threads = 1,
                                      .calls = 1024,
                                      .connections = 1024,
                                      .streams_per_connection = 256,
                                      .keepalive_ms = 60000,
                                      .keepalive_timeout_ms = 20000,
                                      .message_bytes = 128 << 10,
                                      .grpc_memory_bytes = 256 << 20,
                                      .arena_bytes = 512 << 10,
                                      .drain_ms = 5000};
    if (!read_options(argc, argv, &options, &door)) {
        fprintf(stderr,
                "usage: %s [--listen ADDRESS:PORT --certificate PEM --key PEM --client-ca PEM] [--unix PATH] "
                "[--threads N]\n",
                argv[0]);
        return 2;
    }
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);

    struct kms_pipeline pipeline = {.transport = {.self = NULL}};
    struct kms_authn_options identities = {.allow_cn = true, .deny_list = ""};
    kms_authn *authn = NULL;
    kms_rpc *rpc = NULL;
    struct kms_why why = {""};
    kms_err err = kms_authn_new(&identities, &authn, &why);
    struct kms_rpc_parts parts = {
        .methods = &method, .method_count = 1, .authn = authn, .pipeline = &pipeline};
    if (!kms_failed(err)) err = kms_rpc_start(&options, &parts, &rpc, &why);
    if (kms_failed(err)) {
        fprintf(stderr, "%s: %s\n", kms_err_text(err), why.text);
        kms_authn_free(authn);
        return 1;
    }
    printf("ready port=%d pid=%ld\n", kms_rpc_port(rpc), (long)getpid());
    fflush(stdout);
    int got;
    sigwait(&stop, &got);
    kms_rpc_free(rpc);
    kms_authn_free(authn);
    return 0;
}
