/* Every method's functions, declared from the table (method.def); defined in the file that bears the method's
 * name. */
#ifndef KMS_SERVICE_METHODS_H
#define KMS_SERVICE_METHODS_H

#include "kmsd/service/method.h"

#define KMS_CRYPTO(service, rpc, action, prefix)                                                             \
    kms_gather_fn kms_##prefix##_gather;                                                                     \
    kms_plan_fn kms_##prefix##_plan;                                                                         \
    kms_finish_fn kms_##prefix##_finish;
#define KMS_BATCH(service, rpc, action, prefix) /* those of prefix for each item, and batch.h */
#define KMS_ADMIN(service, rpc, action, prefix)                                                              \
    kms_gather_fn kms_##prefix##_gather;                                                                     \
    kms_act_fn kms_##prefix##_act;
#define KMS_GUARDED KMS_ADMIN
#define KMS_CHANGE  KMS_ADMIN
#define KMS_STREAM(service, rpc, action, prefix)                                                             \
    KMS_ADMIN(service, rpc, action, prefix)                                                                  \
    kms_err kms_##prefix##_page(struct kms_call *call, enum kms_stream_step *ret_step);                      \
    bool kms_##prefix##_due(const struct kms_call *call);                                                    \
    void kms_##prefix##_close(struct kms_call *call);
#include "kmsd/service/method.def"
#undef KMS_CRYPTO
#undef KMS_BATCH
#undef KMS_ADMIN
#undef KMS_GUARDED
#undef KMS_CHANGE
#undef KMS_STREAM

#endif
