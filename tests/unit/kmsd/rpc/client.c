/* A gRPC client on the C core, enough for tests. */
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "google/rpc/status.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/suite.h"
#include "world.h"

enum { CALL_SECONDS = 60 };

static bool gzip;

void client_gzip(bool on)
{
    gzip = on;
}

static grpc_channel *channel_to(const char *target, grpc_channel_credentials *credentials)
{
    char *name = strdup("localhost"), *name_key = strdup("grpc.ssl_target_name_override");
    char *pool_key = strdup("grpc.use_local_subchannel_pool");
    char *compression_key = strdup("grpc.default_compression_algorithm");
    grpc_arg args[] = {
        {.type = GRPC_ARG_STRING, .key = name_key, .value = {.string = name}},
        {.type = GRPC_ARG_INTEGER, .key = pool_key, .value = {.integer = 1}},
        {.type = GRPC_ARG_INTEGER,
         .key = compression_key,
         .value = {.integer = gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_NONE}},
    };
    grpc_channel_args all = {.num_args = KMS_COUNT(args), .args = args};
    grpc_channel *channel = grpc_channel_create(target, credentials, &all);
    grpc_channel_credentials_release(credentials);
    free(name);
    free(name_key);
    free(pool_key);
    free(compression_key);
    return channel;
}

grpc_channel *client_tls(int port, const char *certificate, const char *key)
{
    KMS_OWN_BUF ca = {0}, own = {0}, own_key = {0};
    KMS_ASSERT_OK_FATAL(kms_read_file(world_path("ca.pem"), 65536, &ca, NULL));
    if (certificate != NULL) KMS_ASSERT_OK_FATAL(kms_read_file(world_path(certificate), 65536, &own, NULL));
    if (certificate != NULL) KMS_ASSERT_OK_FATAL(kms_read_file(world_path(key), 65536, &own_key, NULL));
    grpc_ssl_pem_key_cert_pair pair = {(const char *)own_key.data, (const char *)own.data};
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%d", port);
    return channel_to(target, grpc_ssl_credentials_create((const char *)ca.data,
                                                          certificate != NULL ? &pair : NULL, NULL, NULL));
}

grpc_channel *client_unix(const char *path)
{
    char target[600];
    snprintf(target, sizeof target, "unix:%s", path);
    return channel_to(target, grpc_insecure_credentials_create());
}

/* One call under way. */
struct pending {
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *request, *response;
    grpc_status_code status;
    grpc_slice message;
};

static void start(struct pending *p, grpc_channel *channel, grpc_completion_queue *cq, const char *method,
                  struct kms_bytes request)
{
    *p = (struct pending){.message = grpc_empty_slice()};
    grpc_metadata_array_init(&p->initial);
    grpc_metadata_array_init(&p->trailing);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(CALL_SECONDS, GPR_TIMESPAN));
    grpc_slice path = grpc_slice_from_copied_string(method);
    p->call =
        grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq, path, NULL, deadline, NULL);
    grpc_slice_unref(path);
    grpc_slice bytes = grpc_slice_from_copied_buffer((const char *)request.ptr, request.len);
    p->request = grpc_raw_byte_buffer_create(&bytes, 1);
    grpc_slice_unref(bytes);
    grpc_metadata correlation = {.key = grpc_slice_from_static_string("x-correlation-id"),
                                 .value = grpc_slice_from_static_string("order 66")};
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
                      {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    ops[0].data.send_initial_metadata.metadata = &correlation;
    ops[0].data.send_initial_metadata.count = 1;
    ops[1].data.send_message.send_message = p->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &p->initial;
    ops[4].data.recv_message.recv_message = &p->response;
    ops[5].data.recv_status_on_client.status = &p->status;
    ops[5].data.recv_status_on_client.status_details = &p->message;
    ops[5].data.recv_status_on_client.trailing_metadata = &p->trailing;
    CU_ASSERT_EQUAL_FATAL(grpc_call_start_batch(p->call, ops, 6, p, NULL), GRPC_CALL_OK);
}

static void end(struct pending *p)
{
    grpc_slice_unref(p->message);
    grpc_byte_buffer_destroy(p->request);
    if (p->response != NULL) grpc_byte_buffer_destroy(p->response);
    grpc_metadata_array_destroy(&p->initial);
    grpc_metadata_array_destroy(&p->trailing);
    grpc_call_unref(p->call);
}

static void stop_queue(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(cq);
}

static void read_details(const struct pending *p, struct reply *reply)
{
    for (size_t i = 0; i < p->trailing.count; i++) {
        const grpc_metadata *m = &p->trailing.metadata[i];
        if (grpc_slice_str_cmp(m->key, "grpc-status-details-bin") != 0) continue;
        Google__Rpc__Status *status =
            google__rpc__status__unpack(NULL, GRPC_SLICE_LENGTH(m->value), GRPC_SLICE_START_PTR(m->value));
        CU_ASSERT_PTR_NOT_NULL_FATAL(status);
        reply->details = status->n_details;
        reply->detail_code = status->code;
        snprintf(reply->detail_message, sizeof reply->detail_message, "%s", status->message);
        const ProtobufCBinaryData *any = &status->details[0]->value;
        Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(NULL, any->len, any->data);
        CU_ASSERT_PTR_NOT_NULL_FATAL(info);
        snprintf(reply->reason, sizeof reply->reason, "%s", info->reason);
        snprintf(reply->domain, sizeof reply->domain, "%s", info->domain);
        if (info->n_metadata > 0)
            snprintf(reply->metadata_key, sizeof reply->metadata_key, "%s", info->metadata[0]->key);
        google__rpc__error_info__free_unpacked(info, NULL);
        google__rpc__status__free_unpacked(status, NULL);
    }
}

static void read_reply(const struct pending *p, struct reply *reply)
{
    *reply = (struct reply){.status = p->status};
    snprintf(reply->message, sizeof reply->message, "%.*s", (int)GRPC_SLICE_LENGTH(p->message),
             (const char *)GRPC_SLICE_START_PTR(p->message));
    read_details(p, reply);
    grpc_byte_buffer_reader reader;
    if (p->response == NULL || !grpc_byte_buffer_reader_init(&reader, p->response)) return;
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    reply->data_len = GRPC_SLICE_LENGTH(all);
    CU_ASSERT_FATAL(reply->data_len <= sizeof reply->data);
    kms_copy(reply->data, GRPC_SLICE_START_PTR(all), reply->data_len);
    grpc_slice_unref(all);
}

void client_call(grpc_channel *channel, const char *method, struct kms_bytes request, struct reply *ret_reply)
{
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    struct pending p;
    start(&p, channel, cq, method, request);
    grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    read_reply(&p, ret_reply);
    end(&p);
    stop_queue(cq);
}

static struct kms_bytes pack_encrypt(const char *key_id, struct kms_bytes plaintext)
{
    Kms__V1__EncryptRequest request;
    kms__v1__encrypt_request__init(&request);
    char name[64];
    snprintf(name, sizeof name, "%s", key_id);
    request.key_id = name;
    request.plaintext.data = malloc(plaintext.len + 1);
    kms_copy(request.plaintext.data, plaintext.ptr, plaintext.len);
    request.plaintext.len = plaintext.len;
    uint8_t *wire = malloc(kms__v1__encrypt_request__get_packed_size(&request));
    struct kms_bytes packed = kms_bytes_of(wire, kms__v1__encrypt_request__pack(&request, wire));
    free(request.plaintext.data);
    return packed;
}

static void drop_packed(struct kms_bytes packed)
{
    free((void *)(uintptr_t)packed.ptr);
}

void client_encrypt(grpc_channel *channel, const char *key_id, struct kms_bytes plaintext,
                    struct reply *ret_reply)
{
    struct kms_bytes request = pack_encrypt(key_id, plaintext);
    client_call(channel, "/kms.v1.CryptoService/Encrypt", request, ret_reply);
    drop_packed(request);
    if (ret_reply->status != GRPC_STATUS_OK) return;
    Kms__V1__EncryptResponse *response =
        kms__v1__encrypt_response__unpack(NULL, ret_reply->data_len, ret_reply->data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(response);
    ret_reply->data_len = response->ciphertext_blob.len;
    kms_copy(ret_reply->data, response->ciphertext_blob.data, ret_reply->data_len);
    kms__v1__encrypt_response__free_unpacked(response, NULL);
}

struct crowd {
    grpc_completion_queue *cq;
    size_t count;
    struct pending calls[];
};

struct crowd *crowd_start(grpc_channel **channels, size_t channel_count, size_t calls)
{
    struct crowd *crowd = calloc(1, sizeof *crowd + calls * sizeof crowd->calls[0]);
    struct kms_bytes request = pack_encrypt("key", kms_bytes_text("plaintext"));
    crowd->cq = grpc_completion_queue_create_for_next(NULL);
    crowd->count = calls;
    for (size_t i = 0; i < calls; i++)
        start(&crowd->calls[i], channels[i % channel_count], crowd->cq, "/kms.v1.CryptoService/Encrypt",
              request);
    drop_packed(request);
    return crowd;
}

void crowd_finish(struct crowd *crowd, size_t counts[17])
{
    for (size_t i = 0; i < 17; i++) counts[i] = 0;
    for (size_t i = 0; i < crowd->count; i++) {
        grpc_event event = grpc_completion_queue_next(crowd->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct pending *p = event.tag;
        counts[p->status]++;
        end(p);
    }
    stop_queue(crowd->cq);
    free(crowd);
}
