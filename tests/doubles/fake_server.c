/* A generic gRPC server on one completion queue and one thread. */
#include "tests/doubles/fake_server.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "google/rpc/status.pb-c.h"

enum { SLOTS = 300 };

/* A call passes through its steps in this order; then its slot takes another. */
enum step { FREE, WAITING_FOR_CALL, READING, HELD, ANSWERING };

struct slot {
    enum step step;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    int cancelled;
};

struct fake_server {
    struct fake_server_options options;
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    int port;
    struct slot slots[SLOTS];
    unsigned calls, held, at_once; /* atomic */
};

static void die(const char *what)
{
    fprintf(stderr, "fake_server: %s\n", what);
    exit(2);
}

void fake_answer_message(struct fake_answer *answer, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *data = malloc(len + 1);
    if (data == NULL) die("out of memory");
    protobuf_c_message_pack(message, data);
    if (kms_failed(kms_buf_append(&answer->reply, data, len))) die("out of memory");
    free(data);
}

static void wait_for_call(fake_server *server, struct slot *slot)
{
    *slot = (struct slot){.step = WAITING_FOR_CALL};
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_init(&slot->metadata);
    if (grpc_server_request_call(server->server, &slot->call, &slot->details, &slot->metadata, server->queue,
                                 server->queue, slot) != GRPC_CALL_OK)
        slot->step = FREE; /* stopping */
}

static void start_batch(struct slot *slot, const grpc_op *ops, size_t count)
{
    if (grpc_call_start_batch(slot->call, ops, count, slot, NULL) != GRPC_CALL_OK) die("batch refused");
}

static void read_request(struct slot *slot)
{
    slot->step = READING;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &slot->request};
    start_batch(slot, &op, 1);
}

static kms_buf details_of(const struct fake_answer *answer)
{
    Google__Rpc__ErrorInfo info;
    google__rpc__error_info__init(&info);
    info.reason = (char *)(uintptr_t)answer->reason;
    info.domain = (char *)(uintptr_t) "kmsd";
    uint8_t packed[256];
    Google__Rpc__PackedDetail detail;
    google__rpc__packed_detail__init(&detail);
    detail.type_url = (char *)(uintptr_t) "type.googleapis.com/google.rpc.ErrorInfo";
    detail.value.data = packed;
    detail.value.len = google__rpc__error_info__pack(&info, packed);
    Google__Rpc__PackedDetail *details[] = {&detail};
    Google__Rpc__Status status;
    google__rpc__status__init(&status);
    status.code = answer->status;
    status.n_details = 1;
    status.details = details;
    struct fake_answer holder = {0};
    fake_answer_message(&holder, &status.base);
    return holder.reply;
}

static void send_answer(struct slot *slot, const struct fake_answer *answer)
{
    slot->step = ANSWERING;
    KMS_OWN_BUF details = {0};
    if (answer->reason != NULL) details = details_of(answer);
    grpc_metadata trailer = {
        .key = grpc_slice_from_static_string("grpc-status-details-bin"),
        .value = grpc_slice_from_copied_buffer(details.len > 0 ? (char *)details.data : "", details.len)};
    grpc_slice text = grpc_slice_from_copied_string(answer->message != NULL ? answer->message : "scripted");
    grpc_slice body = grpc_slice_from_copied_buffer(answer->reply.len > 0 ? (char *)answer->reply.data : "",
                                                    answer->reply.len);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&body, 1);
    grpc_op ops[4] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server = {.trailing_metadata_count = answer->reason != NULL ? 1 : 0,
                                          .trailing_metadata = &trailer,
                                          .status = (grpc_status_code)answer->status,
                                          .status_details = &text}},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &slot->cancelled},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
    };
    start_batch(slot, ops, answer->status == 0 ? 4 : 3);
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(body);
    grpc_slice_unref(text);
    grpc_slice_unref(trailer.value);
}

/* Until the caller or the server gives up. */
static void wait_for_end(struct slot *slot)
{
    slot->step = ANSWERING;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &slot->cancelled};
    start_batch(slot, &op, 1);
}

static void answer(fake_server *server, struct slot *slot)
{
    grpc_slice request = grpc_empty_slice();
    grpc_byte_buffer_reader reader;
    if (slot->request != NULL && grpc_byte_buffer_reader_init(&reader, slot->request)) {
        request = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    char *path = grpc_slice_to_c_string(slot->details.method);
    struct fake_answer answer = {0};
    server->options.handler(server->options.user, path,
                            kms_bytes_of(GRPC_SLICE_START_PTR(request), GRPC_SLICE_LENGTH(request)), &answer);
    if (answer.never)
        wait_for_end(slot);
    else
        send_answer(slot, &answer);
    kms_buf_free(&answer.reply);
    gpr_free(path);
    grpc_slice_unref(request);
}

static void release_held(fake_server *server)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (server->slots[i].step == HELD) answer(server, &server->slots[i]);
    __atomic_store_n(&server->held, 0, __ATOMIC_RELAXED);
}

static void hold(fake_server *server, struct slot *slot)
{
    slot->step = HELD;
    __atomic_add_fetch(&server->calls, 1, __ATOMIC_RELAXED);
    unsigned held = __atomic_add_fetch(&server->held, 1, __ATOMIC_RELAXED);
    if (held > fake_server_at_once(server)) __atomic_store_n(&server->at_once, held, __ATOMIC_RELAXED);
    if (held >= server->options.hold) release_held(server);
}

static void clean(struct slot *slot)
{
    grpc_call_details_destroy(&slot->details);
    grpc_metadata_array_destroy(&slot->metadata);
    if (slot->request != NULL) grpc_byte_buffer_destroy(slot->request);
    if (slot->call != NULL) grpc_call_unref(slot->call);
    *slot = (struct slot){0};
}

static void *serve(void *argument)
{
    fake_server *server = argument;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) return NULL;
        struct slot *slot = event.tag;
        if (event.tag == server)
            grpc_completion_queue_shutdown(server->queue); /* the server has stopped */
        else if (slot->step == WAITING_FOR_CALL && event.success)
            read_request(slot);
        else if (slot->step == READING && event.success)
            hold(server, slot);
        else if (slot->step == ANSWERING) {
            clean(slot);
            wait_for_call(server, slot);
        }
    }
}

static int listen_on(fake_server *server)
{
    const struct fake_server_options *options = &server->options;
    grpc_server_credentials *credentials;
    if (options->socket != NULL) {
        credentials = grpc_insecure_server_credentials_create();
    } else {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = options->key_pem, .cert_chain = options->cert_pem};
        credentials = grpc_ssl_server_credentials_create_ex(
            options->ca_pem, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
    }
    const char *address = options->socket != NULL ? options->socket : "127.0.0.1:0";
    int port = grpc_server_add_http2_port(server->server, address, credentials);
    grpc_server_credentials_release(credentials);
    return port;
}

fake_server *fake_server_start(const struct fake_server_options *options)
{
    grpc_init();
    fake_server *server = calloc(1, sizeof *server);
    if (server == NULL) die("out of memory");
    server->options = *options;
    server->queue = grpc_completion_queue_create_for_next(NULL);
    server->server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server->server, server->queue, NULL);
    server->port = listen_on(server);
    if (server->port == 0) die("cannot listen");
    grpc_server_start(server->server);
    for (size_t i = 0; i < SLOTS; i++) wait_for_call(server, &server->slots[i]);
    if (pthread_create(&server->thread, NULL, serve, server) != 0) die("no thread");
    return server;
}

int fake_server_port(const fake_server *server)
{
    return server->port;
}

unsigned fake_server_calls(const fake_server *server)
{
    return __atomic_load_n(&server->calls, __ATOMIC_RELAXED);
}

unsigned fake_server_at_once(const fake_server *server)
{
    return __atomic_load_n(&server->at_once, __ATOMIC_RELAXED);
}

void fake_server_stop(fake_server *server)
{
    if (server == NULL) return;
    grpc_server_shutdown_and_notify(server->server, server->queue, server);
    grpc_server_cancel_all_calls(server->server);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < SLOTS; i++) clean(&server->slots[i]);
    grpc_server_destroy(server->server);
    grpc_completion_queue_destroy(server->queue);
    free(server);
    grpc_shutdown();
}
