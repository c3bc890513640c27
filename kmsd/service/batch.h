/*
 * A batch: one call whose items are calls of their own in all but admission, transport and record. Each takes
 * the way of the single method, with that method's functions; the batch asks policy once for what its items
 * ask alike, feeds their jobs to the HSM a few at a time, and answers when the last is done.
 *
 * Everything lives in the arena of the batch. Owned like the call; what the finish thread changes (next, out)
 * is set before the first job is submitted.
 */
#ifndef KMS_SERVICE_BATCH_H
#define KMS_SERVICE_BATCH_H

#include "kmsd/service/method.h"

enum {
    KMS_BATCH_ITEMS = 256,
    KMS_BATCH_BYTES = 1024 * 1024,            /* most plaintext of a batch */
    KMS_BATCH_OVERHEAD_BYTES = 512 * 1024,    /* of a request: names, contexts, what the ciphertexts add */
    KMS_BATCH_PAIRS = 1024,                   /* most pairs of encryption context, all items together */
    KMS_BATCH_ACCESSES = 2 * KMS_BATCH_ITEMS, /* an item asks policy once, ReEncrypt's twice */
    KMS_BATCH_WINDOW = 32, /* jobs of one batch with the HSM at a time: small calls get between them */
};

struct kms_batch {
    struct kms_call *items;
    size_t count;
    size_t next;              /* items before it are with the HSM, are done, or have nothing to do there */
    size_t out;               /* jobs that the HSM has */
    struct kms_access *asked; /* each distinct question once, with its decision */
    size_t asked_count, asked_room;
};

/* As how many calls it counts for the limits of its principal: the items of a batch, else 1. */
unsigned kms_batch_calls(const struct kms_call *call);

/* Method functions of every batch row: the items are made; the results are put together. */
kms_gather_fn kms_batch_gather;
kms_finish_fn kms_batch_finish;

/* LIMIT_EXCEEDED: batches in progress have taken what memory they may. */
kms_err kms_batch_no_memory(struct kms_call *call);
/* Fails the whole batch when an item found no memory. */
KMS_MUST_USE kms_err kms_batch_check_memory(struct kms_call *call);
bool kms_batch_all_failed(const struct kms_call *call);

/* Room for one more distinct question of the batch; NULL: NO_MEMORY. */
struct kms_access *kms_batch_ask(struct kms_call *call);

/* The next item that has a job for the HSM, in order; NULL: none is left. */
struct kms_call *kms_batch_next(struct kms_call *call);
/* What the HSM does not have yet fails with DEADLINE_EXCEEDED. */
void kms_batch_give_up(struct kms_call *call);
/* References of the items. */
void kms_batch_end(struct kms_call *call);

#endif
