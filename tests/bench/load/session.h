/*
 * The client's half of an HTTP/2 connection that carries one unary gRPC request again and again (RFC 7540,
 * RFC 7541; gRPC over HTTP/2). Requests gather in a buffer until load_session_flush. Not thread-safe.
 */
#ifndef KMS_LOAD_SESSION_H
#define KMS_LOAD_SESSION_H

#include "tests/bench/load/hpack.h"
#include "tests/bench/load/request.h"
#include "tests/bench/load/transport.h"

enum {
    LOAD_STREAMS = 200, /* in flight at most: below kmsd's limits.streams_per_connection */
    LOAD_STREAM_SLOTS = 256,
    LOAD_INPUT_BYTES = 128 << 10,
    LOAD_OUTPUT_BYTES = 128 << 10,
};

struct load_session;
/* A call has ended. grpc_status: 0 is OK; LOAD_STATUS_UNREADABLE: none was given, or the stream was reset. */
typedef void load_reply_fn(struct load_session *session, uint64_t started_ns, int grpc_status);

struct load_session {
    struct load_transport transport;
    const struct load_request *request; /* borrowed */
    load_reply_fn *reply;
    void *user;
    unsigned in_flight;
    unsigned owed; /* the user's: calls to make as soon as load_session_call takes them */

    /* its own */
    struct load_hpack table;
    bool named; /* the server knows our header fields by index */
    uint32_t next_stream, acknowledge_bytes;
    int64_t send_window, stream_window; /* of the connection; what each stream begins with */
    struct {                            /* the request whose end waits for room or a window */
        uint32_t stream;                /* 0: none */
        int64_t window;
        size_t at;
    } body;
    uint64_t random; /* not 0 */
    uint64_t started_ns[LOAD_STREAM_SLOTS];
    size_t input_len, output_len;
    uint8_t input[LOAD_INPUT_BYTES], output[LOAD_OUTPUT_BYTES];
};

/* Connects and sends the preface. Errors: those of load_transport_open. */
KMS_MUST_USE kms_err load_session_new(const char *address, SSL_CTX *tls, const struct load_request *request,
                                      struct load_session **ret_session, struct kms_why *why);
void load_session_free(struct load_session *session); /* NULL is a no-op */

/* One more call, which began at started_ns; a long one leaves as the server's windows and flushes let it.
 * False: not now, too many or too much is on the way. */
bool load_session_call(struct load_session *session, uint64_t started_ns);
/* Errors: IO. */
KMS_MUST_USE kms_err load_session_flush(struct load_session *session, struct kms_why *why);
/* Reads what is there, answers it, calls reply for each call that ended, flushes. Errors: IO, CORRUPT. */
KMS_MUST_USE kms_err load_session_read(struct load_session *session, struct kms_why *why);

#endif
