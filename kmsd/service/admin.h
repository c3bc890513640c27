/* The admin threads: a bounded queue of calls that may block, and of budget refills. */
#ifndef KMS_SERVICE_ADMIN_H
#define KMS_SERVICE_ADMIN_H

#include "kmsd/keys/key.h"
#include "kmsd/service/call.h"

typedef struct kms_admin kms_admin;

/* What an admin thread does; lane is an HSM lane that no other thread uses. */
struct kms_admin_work {
    void *self;
    void (*run)(void *self, unsigned lane, struct kms_call *call);
    kms_err (*refill)(void *self, const struct kms_key *key, uint32_t version);
};

/* Threads take lanes first_lane, first_lane + 1, ... */
KMS_MUST_USE kms_err kms_admin_start(unsigned threads, unsigned queue, unsigned first_lane,
                                     const struct kms_admin_work *work, kms_admin **ret_admin);
/* False: the queue is full; the call is still the caller's. Any thread. */
bool kms_admin_post(kms_admin *admin, struct kms_call *call);
/* A stream that is under way comes again: never refused, there are few of them. Any thread. */
void kms_admin_post_again(kms_admin *admin, struct kms_call *call);
/* Reserves budget in the background; takes a reference of key; clears the budget's `reserving` when done. Any
 * thread. */
void kms_admin_refill(kms_admin *admin, struct kms_key *key, uint32_t version);
/* Runs what is queued, then ends the threads. */
void kms_admin_stop(kms_admin *admin);

#endif
