/*
 * The one way that calls are made: any number of them on one connection, a bounded number at a time, all
 * inside one deadline, each repeated where that is safe. A single blocking call is a run of one. Thread-safe:
 * each run has a completion queue of its own.
 */
#ifndef KMS_CLIENT_UNARY_H
#define KMS_CLIENT_UNARY_H

#include <kms/client.h>

#include "client/lib/rpc.h"

struct kms_unary {
    enum kms_rpc_id rpc;
    const struct kms_rpc *row;       /* in place of the one of rpc; NULL: that one */
    const ProtobufCMessage *request; /* borrowed */
    bool has_token;                  /* it carries a client_request_token */
    void *result;                    /* out: made by the RPC's take */
    struct kms_error error;          /* out: code 0 when the call succeeded */
};

enum { KMS_IN_FLIGHT = 64, KMS_IN_FLIGHT_MAX = 256 };

/* True when all succeeded. in_flight: at most KMS_IN_FLIGHT_MAX, 0 means KMS_IN_FLIGHT. Every call has its
 * result or its error afterwards. */
KMS_MUST_USE bool kms_unary_run(kms_client *client, const struct kms_call_options *options,
                                struct kms_unary *calls, size_t count, uint32_t in_flight);

/* A run of one. *ret_result is set on success; NULL when the RPC has no result. error may be NULL. */
KMS_MUST_USE bool kms_unary_one(kms_client *client, const struct kms_call_options *options,
                                struct kms_unary *call, void **ret_result, struct kms_error *error);

#endif
