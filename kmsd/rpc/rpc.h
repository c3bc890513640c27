/*
 * The transport: the only room of the daemon that sees gRPC. Takes calls from TLS and Unix sockets, finds
 * out who calls, decodes, hands each call to the pipeline, and sends the answers that the pipeline
 * releases.
 *
 * One thread for each completion queue, each a lane of the pipeline. Every call that reaches a method goes
 * through kms_pipeline_begin, also when it cannot be decoded, has no identity or is one too many, so that
 * it is recorded. Not seen by the pipeline, because gRPC itself refuses them: unknown methods
 * (UNIMPLEMENTED), requests longer than any may be (RESOURCE_EXHAUSTED), failed handshakes. Nor are
 * grpc.health.v1 and grpc.reflection (guest.h), which concern no key and no state: any peer that a door
 * lets in hears it, also one that maps to no principal, and nothing is recorded. Of an answer that is many
 * messages, each leaves when gRPC has written the one before (stream.c).
 *
 * Methods of foreign protocols are methods of the table in other words (kmsd/dialect): the pipeline gets
 * the same call, or several of them, and none of one that is answered at the door (CSI's Version). TLS
 * connections speak our own protocol only.
 *
 * Thread-safety: start, reload, drain and free are for one thread at a time; it must not be the pipeline's.
 */
#ifndef KMS_RPC_RPC_H
#define KMS_RPC_RPC_H

#include "kmsd/authn/authn.h"
#include "kmsd/dialect/dialect.h"
#include "kmsd/service/method.h"
#include "kmsd/service/pipeline.h"

/* What connections come in by without TLS. */
struct kms_rpc_socket {
    struct kms_unix_socket socket;
    bool tcp; /* path is an address that kms_loopback_parse takes; port 0: any, which the log says */
    struct kms_door door;      /* what it speaks */
    unsigned mode;             /* of the socket file, for example 0660 */
    const char *owner, *group; /* names or numbers; "" leaves the daemon's own */
};

struct kms_rpc_options {
    const char *address; /* TLS: "0.0.0.0:8443", "[::]:8443", port 0: any; "": no TLS listener */
    const char *certificate, *key,
        *client_ca; /* PEM files: own chain, its key (not readable by others), clients' CAs */
    const struct kms_rpc_socket *sockets;
    size_t socket_count;
    unsigned threads;                /* completion queues with one thread each, 1 to KMS_RPC_THREADS */
    uint32_t calls;                  /* active at once; more are answered LIMIT_EXCEEDED */
    uint32_t connections;            /* see kms_rpc_start */
    uint32_t streams_per_connection; /* calls that one connection may have open */
    uint32_t health_watches;         /* Watch streams open at once; more are answered LIMIT_EXCEEDED */
    bool reflection;                 /* grpc.reflection is offered */
    uint32_t reflection_streams;     /* of each version, as health_watches */
    uint32_t stream_age_ms;          /* older ones of these give way when there are too many */
    uint32_t keepalive_ms;           /* of silence, then a connection is asked whether it lives */
    uint32_t keepalive_timeout_ms;   /* to answer that */
    uint32_t message_bytes;          /* longest request of a method that is no batch */
    uint32_t batch_message_bytes;    /* longest of a batch */
    uint32_t batches;                /* active at once; more are answered LIMIT_EXCEEDED */
    uint64_t batch_memory_bytes;     /* most locked memory of all active batches */
    uint64_t grpc_memory_bytes; /* what gRPC may take for connections and requests (its resource quota) */
    uint32_t arena_bytes;       /* most memory of one call; at least twice message_bytes is sensible */
    uint32_t drain_ms;          /* how long active calls may go on once stopping has begun */
};

enum { KMS_RPC_THREADS = 64, KMS_RPC_RESERVED_FILES = 256 /* descriptors for everything but connections */ };

/* What the service stands on, for grpc.health.v1. */
enum kms_rpc_part {
    KMS_RPC_HSM = 1,      /* a worker answers */
    KMS_RPC_KEYSTORE = 2, /* can be read */
    KMS_RPC_AUDIT = 4,    /* can be written */
    KMS_RPC_ALL_PARTS = 7
};

/* What the calls are handed to. All of it outlives the kms_rpc. */
struct kms_rpc_parts {
    const struct kms_method *methods;
    size_t method_count;
    const struct kms_dialect *dialects; /* served when a door speaks their protocol */
    size_t dialect_count;
    kms_authn *authn;
    kms_pipeline *pipeline; /* started with options.threads lanes; gets its transport here */
    /* Which parts are well: asked once a second, by a thread of its own. NULL: all. */
    unsigned (*well)(void *self);
    void *well_self;
};

typedef struct kms_rpc kms_rpc;

/*
 * Listens and serves. Strings of the options are borrowed for the life of the kms_rpc.
 *
 * Connections: TLS connections above the limit fail their handshake (tls.h), Unix connections above it are
 * closed at once, and so are those over TCP without TLS, of which there may be as many again. gRPC 1.51
 * stops listening for good when descriptors run out, and an accepted connection has one until its handshake
 * has failed. So the soft RLIMIT_NOFILE is raised to the hard one, which must cover connections +
 * KMS_RPC_RESERVED_FILES and should be far above; a warning is logged when nine tenths of all descriptors
 * are taken.
 *
 * Errors: CONFIG_INVALID (nothing to listen on, a certificate that does not fit, RLIMIT_NOFILE), IO (a
 * file, an address), STATE_IN_USE (another process answers on a Unix socket), NO_MEMORY, INTERNAL.
 */
KMS_MUST_USE kms_err kms_rpc_start(const struct kms_rpc_options *options, const struct kms_rpc_parts *parts,
                                   kms_rpc **ret_rpc, struct kms_why *why);

int kms_rpc_port(const kms_rpc *rpc); /* of the TLS listener, also when 0 was asked for; 0: there is none */
unsigned kms_rpc_active(const kms_rpc *rpc); /* calls taken and not yet answered */

/* Reads certificate, key and client CAs again, for handshakes from now on; connections stay. When they do not
 * fit together the old ones stay in force. Errors: CONFIG_INVALID, IO. */
KMS_MUST_USE kms_err kms_rpc_reload(kms_rpc *rpc, struct kms_why *why);

/* Stops accepting, tells the clients to go elsewhere (GOAWAY), waits drain_ms for active calls, cancels what
 * is left, and returns when every call is back from the pipeline, which therefore must still run. */
void kms_rpc_drain_and_stop(kms_rpc *rpc);
void kms_rpc_free(kms_rpc *rpc); /* stops first if nobody did; NULL is a no-op */
void kms_rpc_drop(kms_rpc **rpc);

#endif
