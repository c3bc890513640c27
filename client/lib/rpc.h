/*
 * The table of RPCs, made from rpc.def: path, codec of the reply, when it may be repeated, how its reply
 * becomes a result. The codec of a request is in the request itself. Thread-safe: constants and pure
 * functions.
 */
#ifndef KMS_CLIENT_RPC_H
#define KMS_CLIENT_RPC_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"

enum kms_rpc_id {
#define KMS_RPC(symbol, path, reply, repeat, take) KMS_RPC_##symbol,
#include "client/lib/rpc.def"
#undef KMS_RPC
    KMS_RPC_COUNT
};

enum kms_repeat { KMS_REPEAT_ALWAYS, KMS_REPEAT_WITH_TOKEN, KMS_REPEAT_NEVER };

/* Checks a decoded reply and builds the public result, which the caller owns (NULL for an RPC without one).
 * reply is borrowed and wiped afterwards. CHECKSUM_MISMATCH, NO_MEMORY; why has the words. */
typedef kms_err kms_take(const ProtobufCMessage *reply, void **ret_result, struct kms_why *why);

struct kms_rpc {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
    enum kms_repeat repeat;
    kms_take *take;
};
const struct kms_rpc *kms_rpc_of(enum kms_rpc_id id);

#define KMS_RPC(symbol, path, reply, repeat, take) kms_take take;
#include "client/lib/rpc.def"
#undef KMS_RPC

#endif
