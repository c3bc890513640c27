/* What the files of this room share: the server, its completion queues, and the slots that calls live in. */
#ifndef KMS_RPC_INTERNAL_H
#define KMS_RPC_INTERNAL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kmsd/rpc/identity.h"
#include "kmsd/rpc/listener.h"
#include "kmsd/rpc/rpc.h"
#include "kmsd/rpc/tls.h"

enum {
    KMS_RPC_TRAILERS = 3,      /* of a reply at most: the request id, why it was refused, encodings */
    KMS_RPC_HOT_SLOTS = 32,    /* waiting on each queue for a method of the crypto lane */
    KMS_RPC_COLD_SLOTS = 2,    /* for one of the admin lane */
    KMS_RPC_FOREIGN_SLOTS = 8, /* for one of a foreign protocol */
    KMS_RPC_UNKNOWN_SLOTS = 4, /* for methods that there are not */
    KMS_RPC_REFUSALS = 64, /* calls above the limit that are being answered at once; more wait inside gRPC */
    KMS_RPC_QUIET_MS = 1000, /* how long stopping waits for a moment without calls */
    KMS_RPC_BATCH = 64,      /* calls begun before the pipeline is told to send, even if more events wait */
};

enum kms_guest_row {
    KMS_GUEST_CHECK,
    KMS_GUEST_LIST,
    KMS_GUEST_WATCH,
    KMS_GUEST_REFLECT,
    KMS_GUEST_REFLECT_ALPHA,
    KMS_GUEST_ROWS
}; /* guest.h */

/* What a completion queue gives back. First member of whatever it belongs to. */
struct kms_tag {
    void (*fire)(struct kms_tag *tag, bool ok);
};

/* What a call lives in; slots are used again. */
struct kms_slot {
    struct kms_tag tag;
    struct kms_queue *queue;
    size_t row;
    struct kms_slot *next_idle, *next_of_all;

    grpc_call *grpc_call;
    gpr_timespec deadline;
    grpc_metadata_array metadata; /* its slices are grpc_call's */
    grpc_byte_buffer *request;

    /* The reply: a message, or a status that is not OK. */
    grpc_byte_buffer *message;
    int status;
    grpc_slice status_text; /* where status is not OK */
    grpc_metadata trailers[KMS_RPC_TRAILERS];
    size_t trailer_count;
    bool tell_encodings; /* of compressed requests, in the answer */
    bool in_batch;       /* counts as an active batch */
    int cancelled;
    struct kms_way way;

    /* Of a stream: */
    struct kms_tag close_tag; /* the call is over for gRPC */
    bool begun;               /* the initial metadata has been sent */
    unsigned open;            /* of: its status, its close; over when neither is */

    struct kms_many *many; /* parts.c: what came of a foreign call that is several of ours; else NULL */
    /* Of such a part: */
    struct kms_slot *whole; /* NULL: gRPC has a call for this slot alone */
    size_t at;
    bool encoded;

    struct kms_call call;
};

struct kms_rpc_row {
    const struct kms_method *method;
    const struct kms_dialect *dialect;       /* NULL: it is called as it is */
    const ProtobufCMessageDescriptor *input; /* of what comes over the wire */
    void *registered;
    unsigned slots; /* to keep waiting on each queue */
};

/* Everything but the list of returned calls belongs to the queue's thread. */
struct kms_queue {
    struct kms_tag back_tag; /* "calls have come back" */
    struct kms_rpc *rpc;
    unsigned lane;
    grpc_completion_queue *cq;
    pthread_t thread;
    bool running;
    unsigned begun;                          /* calls since the last flush */
    struct kms_call *refused, **refused_end; /* of these: answered with the flush, linked by next */
    unsigned *waiting;                       /* slots by row */
    struct kms_slot *idle;                   /* slots not in use */
    struct kms_slot *slots;                  /* all, to be freed */
    struct kms_unknown *unknown;
    kms_certificates *certificates;

    pthread_mutex_t lock;
    struct kms_call *back, **back_end; /* released by another thread, linked by next */
    bool woken;                        /* back_tag is under way */

    unsigned guests_waiting[KMS_GUEST_ROWS];
    struct kms_tag guests_tag;
    struct kms_guest *guest_streams; /* under lock, as guests_woken: guests_tag is under way */
    bool guests_woken;
};

struct kms_rpc {
    struct kms_tag drained_tag;
    struct kms_rpc_options options;
    struct kms_rpc_parts parts;
    grpc_server *server;
    kms_tls *tls;
    kms_peers *peers;
    kms_listener *listener;
    int port;
    struct kms_rpc_row *rows;
    size_t row_count;
    struct kms_queue *queues;
    unsigned queue_count;
    atomic_uint active, batches;
    struct kms_arena_room batch_room; /* of all batches */
    void *guest_methods[KMS_GUEST_ROWS];
    atomic_uint guests[KMS_GUEST_ROWS]; /* active; not among those of active */
    atomic_bool guests_leave;           /* streams among them are told SHUTTING_DOWN */
    /* Of a row: one was refused for want of a place since the last look; an old one may leave for that. */
    atomic_bool guests_wanted[KMS_GUEST_ROWS], guests_yield[KMS_GUEST_ROWS];
    struct kms_health *health;
    struct kms_reflection *reflection; /* NULL: not offered */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* monotonic clock */
    bool go;                /* threads may begin; under lock, as what follows */
    bool serving;           /* they ask gRPC for calls */
    bool listening;         /* gRPC has to be told to stop */
    bool stopping, drained, stopped;
    atomic_bool closing; /* new calls are told SHUTTING_DOWN */
};

/* rows.c: fills rows and has gRPC serve their paths. INTERNAL: a row that names nothing, or twice the
 * same. */
KMS_MUST_USE kms_err kms_rows_register(struct kms_rpc *rpc, struct kms_why *why);
/* "/SERVICE/RPC", as it is called: of a foreign protocol, theirs. */
void kms_row_path(const struct kms_rpc_row *row, char path[KMS_METHOD_PATH_BYTES]);

/* request.c: what slot->request holds becomes call->request; a foreign one by its dialect. */
KMS_MUST_USE kms_err kms_slot_decode(struct kms_slot *slot);
void kms_slot_drop_request(struct kms_slot *slot); /* wiped */

/* parts.c */
KMS_MUST_USE kms_err kms_slot_split(struct kms_slot *slot, const ProtobufCMessage *foreign);
void kms_parts_begin(struct kms_slot *slot); /* instead of the foreign call */
void kms_part_encode(struct kms_slot *part);
void kms_part_back(struct kms_slot *part); /* the last one answers for all */

/* queue.c */
KMS_MUST_USE kms_err kms_queue_start(struct kms_rpc *rpc, unsigned lane);
void kms_queue_stop(struct kms_queue *queue);  /* ends the thread; no call may be active */
void kms_queue_clear(struct kms_queue *queue); /* frees what it has; after the server is gone */
/* Gives calls back to their queues: THE place where replies leave, from whatever thread. */
void kms_queue_release(struct kms_rpc *rpc, struct kms_call **calls, size_t count);

void kms_queue_one_less(struct kms_queue *queue); /* an active call has ended */

/* unknown.c */
KMS_MUST_USE kms_err kms_unknown_new(struct kms_queue *queue);
void kms_unknown_begin(struct kms_queue *queue);
void kms_unknown_free(struct kms_queue *queue);

/* slot.c */
void kms_slot_fill(struct kms_queue *queue, size_t row);      /* as many waiting as the row wants */
struct kms_slot *kms_slot_take_idle(struct kms_queue *queue); /* NULL: no memory */
void kms_slot_put_idle(struct kms_slot *slot);
void kms_slot_encode(struct kms_call *call);
KMS_MUST_USE kms_err kms_slot_pack(struct kms_slot *slot, const ProtobufCMessage *reply); /* is its message */
void kms_slot_finish(struct kms_slot *slot); /* what goes with the message, or instead */
void kms_slot_reply(struct kms_call *call);  /* on the thread of its queue */
void kms_slots_free(struct kms_queue *queue);
grpc_call *kms_slot_grpc_call(const struct kms_call *call);
struct kms_queue *kms_slot_queue(const struct kms_call *call);
int kms_slot_socket(const struct kms_call *call); /* for cork.h */
void kms_slot_end(struct kms_slot *slot);         /* it is over: for the next call */
grpc_op kms_slot_status_op(struct kms_slot *slot);

/* stream.c: on the thread of the queue, but cancel */
void kms_slot_watch(struct kms_slot *slot); /* before the pipeline gets the call */
void kms_slot_send(struct kms_slot *slot);  /* a page (call.page), or the end */
/* The client hears err, and a page that it does not take comes back. Any thread, while a page is with rpc. */
void kms_slot_cancel(struct kms_slot *slot, kms_err err);

#endif
