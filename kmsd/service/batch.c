/* What dispatch, policy and the finish thread need of a batch. */
#include "kmsd/service/batch.h"

#include "kms/v1/batch.pb-c.h"

enum { ASKED_FIRST = 4 };

/* All batch requests have one layout (batch_method.c). */
unsigned kms_batch_calls(const struct kms_call *call)
{
    if (call->method->item == NULL || call->request == NULL) return 1;
    size_t count = ((const Kms__V1__EncryptBatchRequest *)(const void *)call->request)->n_items;
    return count < 1 ? 1 : count < UINT32_MAX ? (unsigned)count : UINT32_MAX;
}

kms_err kms_batch_no_memory(struct kms_call *call)
{
    return kms_call_fail(call, KMS_FAIL(LIMIT_EXCEEDED),
                         "batches take all the memory that there is for them (limits.batch_memory)");
}

kms_err kms_batch_check_memory(struct kms_call *call)
{
    const struct kms_batch *batch = call->batch;
    for (size_t i = 0; i < batch->count; i++)
        if (kms_is(batch->items[i].err, KMS_E_NO_MEMORY)) return kms_batch_no_memory(call);
    return KMS_OK;
}

bool kms_batch_all_failed(const struct kms_call *call)
{
    const struct kms_batch *batch = call->batch;
    for (size_t i = 0; i < batch->count; i++)
        if (!kms_failed(batch->items[i].err)) return false;
    return true;
}

struct kms_access *kms_batch_ask(struct kms_call *call)
{
    struct kms_batch *batch = call->batch;
    if (batch->asked_count == batch->asked_room) {
        size_t room = batch->asked_room > 0 ? 2 * batch->asked_room : ASKED_FIRST;
        struct kms_access *more = kms_call_alloc(call, room * sizeof *more);
        if (more == NULL) return NULL;
        kms_copy(more, batch->asked, batch->asked_count * sizeof *more);
        batch->asked = more;
        batch->asked_room = room;
    }
    return &batch->asked[batch->asked_count++];
}

struct kms_call *kms_batch_next(struct kms_call *call)
{
    struct kms_batch *batch = call->batch;
    while (batch->next < batch->count) {
        struct kms_call *item = &batch->items[batch->next++];
        if (!kms_failed(item->err)) return item;
    }
    return NULL;
}

void kms_batch_give_up(struct kms_call *call)
{
    for (struct kms_call *item; (item = kms_batch_next(call)) != NULL;)
        item->err = KMS_FAIL(DEADLINE_EXCEEDED);
}

void kms_batch_end(struct kms_call *call)
{
    struct kms_batch *batch = call->batch;
    for (size_t i = 0; i < batch->count; i++)
        kms_accesses_end(batch->items[i].access, batch->items[i].access_count);
    kms_accesses_end(batch->asked, batch->asked_count);
    call->batch = NULL;
}
