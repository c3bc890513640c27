/*
 * A gRPC server that answers what a test tells it to: statuses, reasons, replies with wrong checksums,
 * nothing at all. It listens on a Unix socket, or on a loopback port with mutual TLS, and runs on a thread of
 * its own, where the handler is called. One at a time per handler: handlers need no lock among themselves.
 */
#ifndef KMS_TESTS_DOUBLES_FAKE_SERVER_H
#define KMS_TESTS_DOUBLES_FAKE_SERVER_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* What a call gets. Zero: status OK with an empty message. */
struct fake_answer {
    int status;          /* gRPC code */
    const char *reason;  /* ErrorInfo.reason in grpc-status-details-bin; NULL: no details */
    const char *message; /* status message; NULL: "scripted" */
    kms_buf reply;       /* the message of status OK; the server frees it */
    bool never;          /* no answer until the server stops */
};

/* Packs message as the reply. */
void fake_answer_message(struct fake_answer *answer, const ProtobufCMessage *message);

/* path: "/kms.v1.CryptoService/Decrypt"; request: the encoded message. */
typedef void fake_handler(void *user, const char *path, struct kms_bytes request,
                          struct fake_answer *ret_answer);

struct fake_server_options {
    const char *socket;                      /* "unix:/PATH", or NULL: TLS on 127.0.0.1 */
    const char *ca_pem, *cert_pem, *key_pem; /* for TLS: texts */
    fake_handler *handler;
    void *user;
    unsigned hold; /* answers wait until so many calls do, then go out together; 0 and 1: at once */
};

typedef struct fake_server fake_server;

/* Ends the test program when it cannot start. */
fake_server *fake_server_start(const struct fake_server_options *options);
int fake_server_port(const fake_server *server);         /* of TLS */
unsigned fake_server_calls(const fake_server *server);   /* so far */
unsigned fake_server_at_once(const fake_server *server); /* most calls that waited together */
void fake_server_stop(fake_server *server);              /* NULL is a no-op */

#endif
