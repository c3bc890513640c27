/* The table of RPCs. */
#include "client/lib/rpc.h"

#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kms/v1/system.pb-c.h"

static const struct kms_rpc table[KMS_RPC_COUNT] = {
#define KMS_RPC(symbol, path_, reply_, repeat_, take_)                                                       \
    [KMS_RPC_##symbol] = {.path = (path_),                                                                   \
                          .reply = &kms__v1__##reply_##__descriptor,                                         \
                          .repeat = KMS_REPEAT_##repeat_,                                                    \
                          .take = (take_)},
#include "client/lib/rpc.def"
#undef KMS_RPC
};

const struct kms_rpc *kms_rpc_of(enum kms_rpc_id id)
{
    return &table[id];
}
