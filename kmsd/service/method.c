/* The method table. */
#include "kmsd/service/methods.h"

#include <stdio.h>
#include <string.h>

#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/audit.pb-c.h"
#include "kms/v1/batch.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/grants.pb-c.h"
#include "kms/v1/import.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/leases.pb-c.h"
#include "kms/v1/policy.pb-c.h"
#include "kms/v1/secrets.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "kmsd/service/batch.h"

enum {
#define KMS_CRYPTO(svc, name, act_, prefix) ROW_##prefix,
#define KMS_BATCH(svc, name, act_, prefix)  ROW_##prefix##_batch,
#define KMS_ADMIN(svc, name, act_, prefix)  ROW_##prefix,
#define KMS_GUARDED                         KMS_ADMIN
#define KMS_CHANGE                          KMS_ADMIN
#define KMS_STREAM                          KMS_ADMIN
#include "kmsd/service/method.def"
#undef KMS_CRYPTO
#undef KMS_BATCH
#undef KMS_ADMIN
#undef KMS_GUARDED
#undef KMS_CHANGE
#undef KMS_STREAM
};

const struct kms_method kms_methods[] = {
#define KMS_CRYPTO(svc, name, act_, prefix)                                                                  \
    {.number = ROW_##prefix + 1,                                                                             \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_CRYPTO,                                                                                \
     .gather = kms_##prefix##_gather,                                                                        \
     .plan = kms_##prefix##_plan,                                                                            \
     .finish = kms_##prefix##_finish},
#define KMS_BATCH(svc, name, act_, prefix)                                                                   \
    {.number = ROW_##prefix##_batch + 1,                                                                     \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_CRYPTO,                                                                                \
     .gather = kms_batch_gather,                                                                             \
     .finish = kms_batch_finish,                                                                             \
     .item = &kms_methods[ROW_##prefix]},
#define KMS_ADMIN(svc, name, act_, prefix)                                                                   \
    {.number = ROW_##prefix + 1,                                                                             \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_ADMIN,                                                                                 \
     .gather = kms_##prefix##_gather,                                                                        \
     .act = kms_##prefix##_act},
#define KMS_GUARDED(svc, name, act_, prefix)                                                                 \
    {.number = ROW_##prefix + 1,                                                                             \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_ADMIN,                                                                                 \
     .guarded = true,                                                                                        \
     .gather = kms_##prefix##_gather,                                                                        \
     .act = kms_##prefix##_act},
#define KMS_CHANGE(svc, name, act_, prefix)                                                                  \
    {.number = ROW_##prefix + 1,                                                                             \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_ADMIN,                                                                                 \
     .changes = true,                                                                                        \
     .gather = kms_##prefix##_gather,                                                                        \
     .act = kms_##prefix##_act},
#define KMS_STREAM(svc, name, act_, prefix)                                                                  \
    {.number = ROW_##prefix + 1,                                                                             \
     .service = &kms__v1__##svc##__descriptor,                                                               \
     .rpc = (name),                                                                                          \
     .action = KMS_ACT_##act_,                                                                               \
     .lane = KMS_LANE_ADMIN,                                                                                 \
     .gather = kms_##prefix##_gather,                                                                        \
     .act = kms_##prefix##_act,                                                                              \
     .stream = &(const struct kms_stream_row){                                                               \
         .page = kms_##prefix##_page, .due = kms_##prefix##_due, .close = kms_##prefix##_close}},
#include "kmsd/service/method.def"
#undef KMS_CRYPTO
#undef KMS_BATCH
#undef KMS_ADMIN
#undef KMS_GUARDED
#undef KMS_CHANGE
#undef KMS_STREAM
};
const size_t kms_method_count = sizeof kms_methods / sizeof kms_methods[0];

const ProtobufCMethodDescriptor *kms_method_codec(const struct kms_method *method)
{
    return protobuf_c_service_descriptor_get_method_by_name(method->service, method->rpc);
}

void kms_method_path(const struct kms_method *method, char path[KMS_METHOD_PATH_BYTES])
{
    snprintf(path, KMS_METHOD_PATH_BYTES, "/%s/%s", method->service->name, method->rpc);
}

bool kms_method_streams(const char *rpc)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, rpc) == 0) return kms_methods[i].stream != NULL;
    return false;
}
