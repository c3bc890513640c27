/* A libkms client whose server gives one answer to all calls, and keeps the last request. */
#ifndef KMS_TESTS_LAST_CALL_H
#define KMS_TESTS_LAST_CALL_H

#include "client_fixture.h"

/* reply empty: UNIMPLEMENTED, reason UNSUPPORTED. */
struct last {
    char path[128];
    kms_buf request, reply;
};

static inline void remember(void *user, const char *path, struct kms_bytes request,
                            struct fake_answer *ret_answer)
{
    struct last *last = user;
    snprintf(last->path, sizeof last->path, "%s", path);
    kms_buf_free(&last->request);
    kms_ignore(kms_buf_append(&last->request, request.ptr, request.len));
    *ret_answer = (struct fake_answer){.status = last->reply.len > 0 ? 0 : 12, .reason = "UNSUPPORTED"};
    kms_ignore(kms_buf_append(&ret_answer->reply, last->reply.data, last->reply.len));
}

static struct last last;
static fake_server *server;
static kms_client *client;

static inline void begin(const ProtobufCMessage *reply)
{
    const char *socket = fresh_socket();
    uint8_t packed[1024];
    if (reply != NULL)
        KMS_ASSERT_OK_FATAL(kms_buf_append(&last.reply, packed, protobuf_c_message_pack(reply, packed)));
    server = fake_server_start(
        &(struct fake_server_options){.socket = socket, .handler = remember, .user = &last});
    client = open_client(socket, 10000);
}

static inline void end(void)
{
    kms_client_close(client);
    fake_server_stop(server);
    kms_buf_free(&last.request);
    kms_buf_free(&last.reply);
}

/* The last request, and its end. */
#define DECODED(type)       kms__v1__##type##__unpack(NULL, last.request.len, last.request.data)
#define FREE(type, message) kms__v1__##type##__free_unpacked(message, NULL)

#endif
