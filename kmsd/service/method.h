/* The method table: one row for each RPC. A row names its class and lane; a test compares rows and protos. */
#ifndef KMS_SERVICE_METHOD_H
#define KMS_SERVICE_METHOD_H

#include "kmsd/service/call.h"

/* crypto: never blocks, one HSM job (one for each item of a batch). admin: straight-line code on the admin
 * threads, may wait. */
enum kms_lane { KMS_LANE_CRYPTO = 1, KMS_LANE_ADMIN };

/* Reads what the decision needs: which keys, under which names and contexts (call->access). No effect on
 * anything. */
typedef kms_err kms_gather_fn(struct kms_call *call);
/* crypto lane, after policy said yes: fills call->job. */
typedef kms_err kms_plan_fn(struct kms_call *call);
/* crypto lane, when the job is done: fills call->reply. On the pipeline's thread: short. */
typedef kms_err kms_finish_fn(struct kms_call *call);
/* admin lane, after policy said yes (and after the attempt's record when class is admin): does it, fills
 * call->reply. */
typedef kms_err kms_act_fn(struct kms_call *call);

/* Of a method whose answer is many messages (stream.h); admin lane. Its act fills no reply. */
enum kms_stream_step {
    KMS_STREAM_PAGE, /* call->reply is to be sent; then again */
    KMS_STREAM_WAIT, /* nothing to send until due says so */
    KMS_STREAM_END,
};
struct kms_stream_row {
    kms_err (*page)(struct kms_call *call, enum kms_stream_step *ret_step); /* on an admin thread */
    bool (*due)(const struct kms_call *call); /* of one that waits; by the thread that watches: short */
    void (*close)(
        struct kms_call *call); /* gives back what act took, if it did, and says what the record should */
};

struct kms_method {
    unsigned number; /* of its row, from 1; 0: not of the table (internal.c) */
    const ProtobufCServiceDescriptor *service;
    const char *rpc;
    enum kms_action action; /* the first it asks for; its class is the method's */
    enum kms_lane lane;
    bool guarded; /* waits for approvals when a key of the call has an approval rule */
    bool changes; /* stored state, although its class is usage: its attempt is recorded, too */
    kms_gather_fn *gather;
    kms_plan_fn *plan;
    kms_finish_fn *finish;
    kms_act_fn *act;
    const struct kms_stream_row *stream; /* NULL: its answer is one message */
    const struct kms_method *item;       /* of a batch: the method that each item is a call of */
};

extern const struct kms_method kms_methods[];
extern const size_t kms_method_count;

const ProtobufCMethodDescriptor *
kms_method_codec(const struct kms_method *method); /* NULL: the row names no such rpc */
bool kms_method_streams(const char *rpc);          /* false also when there is no such method */
enum { KMS_METHOD_PATH_BYTES = 128 };
void kms_method_path(const struct kms_method *method,
                     char path[KMS_METHOD_PATH_BYTES]); /* "/kms.v1.CryptoService/Encrypt" */

#endif
