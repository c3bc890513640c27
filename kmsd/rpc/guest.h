/*
 * Calls that ask nothing of the pipeline: how the service is (health.c), what it offers (reflect.c). They
 * concern no key, no state and no secret, so they are answered here, to whoever came in by a door: without
 * a principal, a policy or a record.
 *
 * A guest is one such call. It belongs to the thread of its queue; of the streams among them the queue
 * keeps a list, under a lock, so that another thread can wake it when there is something to tell.
 */
#ifndef KMS_RPC_GUEST_H
#define KMS_RPC_GUEST_H

#include "base/arena.h"
#include "kmsd/rpc/internal.h"

enum {
    KMS_GUEST_REQUEST_BYTES = 4096, /* longest message of a guest */
    KMS_GUEST_ARENA_BYTES = 32 * 1024,
    KMS_GUEST_FIELDS = 16, /* that it may have */
    KMS_GUEST_SLOTS = 2,   /* waiting on each queue for each method */
};

struct kms_guest {
    struct kms_tag tag;                /* accepted, or a message is written */
    struct kms_tag close_tag, end_tag; /* the call is over; its status is written */
    struct kms_tag read_tag;           /* of many requests, the next is there */
    struct kms_queue *queue;
    const struct kms_guest_method *method;
    struct kms_guest *next, **link; /* of the queue's streams; link NULL: not among them */

    grpc_call *grpc_call;
    gpr_timespec deadline; /* nothing that a guest does takes time */
    grpc_metadata_array metadata;
    grpc_byte_buffer *request, *message;
    int cancelled;
    unsigned open;            /* operations that gRPC has not given back */
    bool begun, ended, busy;  /* initial metadata sent; status sent; a message is on its way */
    bool reading, refused;    /* it was one too many */
    grpc_slice text, details; /* of the status */
    grpc_metadata trailers[2];

    uint64_t since_us; /* monotonic */
    int asked, told;   /* health: which name (-1: there is none such), what was said last */
};

struct kms_guest_method {
    const char *path;
    bool stream, many; /* many requests */
    enum kms_guest_limit { KMS_GUEST_CALLS, KMS_GUEST_WATCHES, KMS_GUEST_REFLECTIONS } limit;
    void (*begin)(struct kms_guest *guest);
    void (*read)(struct kms_guest *guest);
    void (*look)(struct kms_guest *guest); /* of a stream: is there something to tell? */
};

/* guest.c */
const char *kms_guest_path(size_t row);
KMS_MUST_USE kms_err kms_guests_register(struct kms_rpc *rpc, struct kms_why *why);
void kms_guests_fill(struct kms_queue *queue);
void kms_guests_wake(struct kms_rpc *rpc); /* all streams look; any thread */
/* Once a second: of each row of which one was refused since, a stream that is old ends. Any one thread. */
void kms_guests_make_room(struct kms_rpc *rpc);
void kms_guests_leave(struct kms_rpc *rpc); /* streams end, SHUTTING_DOWN; any thread */
unsigned kms_guests_active(const struct kms_rpc *rpc);

/* Waits for the next request, then calls read; NULL was the last. */
void kms_guest_read(struct kms_guest *guest);
/* Sends a message; the guest is busy until it is written, then looks again. */
void kms_guest_send(struct kms_guest *guest, const ProtobufCMessage *message);
/* Sends the status, with a message before it if there is one. Once; more are no-ops. */
void kms_guest_end(struct kms_guest *guest, const ProtobufCMessage *message, kms_err err,
                   const struct kms_why *why);

/* request.c */
/* The request, decoded in arena. INVALID_ARGUMENT with the field; as kms_message_open. */
KMS_MUST_USE kms_err kms_guest_decode(struct kms_guest *guest, const ProtobufCMessageDescriptor *type,
                                      kms_arena *arena, const ProtobufCMessage **ret_message,
                                      struct kms_why *why);

/* health.c */
KMS_MUST_USE kms_err kms_health_start(struct kms_rpc *rpc);
void kms_health_stop(struct kms_rpc *rpc); /* nobody is woken any more; answers go on */
void kms_health_free(struct kms_rpc *rpc);
void kms_health_check(struct kms_guest *guest);
void kms_health_list(struct kms_guest *guest);
void kms_health_watch(struct kms_guest *guest);
void kms_health_look(struct kms_guest *guest);

/* reflect.c */
KMS_MUST_USE kms_err kms_reflect_start(struct kms_rpc *rpc);
void kms_reflect_free(struct kms_rpc *rpc);
void kms_reflect_answer(struct kms_guest *guest);

#endif
