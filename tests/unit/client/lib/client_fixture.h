/* A libkms client on a Unix socket, with a fake server behind it that takes its answers from a script. */
#ifndef KMS_TESTS_CLIENT_FIXTURE_H
#define KMS_TESTS_CLIENT_FIXTURE_H

#include <kms/client.h>
#include <stdio.h>

#include "tests/doubles/fake_server.h"
#include "tests/harness/suite.h"

/* The answers in order; the last one goes on for ever. */
struct script {
    const struct fake_answer *answers;
    size_t count, next;
};

static inline void play(void *user, const char *path, struct kms_bytes request,
                        struct fake_answer *ret_answer)
{
    (void)path;
    (void)request;
    struct script *script = user;
    const struct fake_answer *now = &script->answers[script->next];
    if (script->next + 1 < script->count) script->next++;
    *ret_answer = *now;
    ret_answer->reply = (kms_buf){0};
    if (now->reply.len > 0) kms_ignore(kms_buf_append(&ret_answer->reply, now->reply.data, now->reply.len));
}

static inline const char *fresh_socket(void)
{
    static char address[256];
    static int number;
    snprintf(address, sizeof address, "unix:%s/%d.sock", kms_temp_dir(), number++);
    return address;
}

static inline kms_client *open_client(const char *endpoint, uint32_t timeout_ms)
{
    struct kms_client_options options = {.endpoint = endpoint, .timeout_ms = timeout_ms};
    kms_client *client = NULL;
    struct kms_error error;
    if (!kms_client_open(&options, &client, &error)) printf("open: %s\n", error.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    return client;
}

#endif
