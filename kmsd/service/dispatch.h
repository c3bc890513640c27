/* The story of a call, station by station; who runs it on which thread is pipeline.c's affair. */
#ifndef KMS_SERVICE_DISPATCH_H
#define KMS_SERVICE_DISPATCH_H

#include "kmsd/service/core.h"
#include "kmsd/service/method.h"

enum kms_next {
    KMS_NEXT_FINISH, /* done or failed: to the audit log, then the reply */
    KMS_NEXT_HSM,    /* call->job is ready to be submitted, or those of a batch's items */
    KMS_NEXT_ADMIN,  /* to an admin thread: for its act, or because it must wait for budget */
};

/* On the rpc thread: admit; crypto lane: gather, decide, plan. Never blocks. */
enum kms_next kms_dispatch_begin(struct kms_call *call);

/* On an admin thread, admin lane: gather, decide; true when the attempt must be on record before
 * kms_dispatch_act. */
enum kms_next kms_dispatch_admin(struct kms_call *call, bool *ret_attempt);
/* Does it, and leaves the outcome in the call. */
void kms_dispatch_act(struct kms_call *call);

/* On an admin thread, crypto lane: plan found no budget left; reserves a block and plans again. */
enum kms_next kms_dispatch_reserve(struct kms_call *call);

/* On the finish thread: from the job's result to the reply; for a batch when all its items are finished. */
void kms_dispatch_finish(struct kms_call *call);

/* Reserves encryptions of a key version in the keystore (key.h). Blocks. */
KMS_MUST_USE kms_err kms_budget_reserve(const struct kms_core *core, const struct kms_key *key,
                                        uint32_t version, struct kms_why *why);

#endif
