/* From a batch request to items, and from items to results. */
#include "kmsd/service/batch.h"

#include "base/ciphertext.h"
#include "base/text.h"
#include "kms/v1/batch.pb-c.h"
#include "kmsd/service/core.h"
#include "kmsd/service/seal.h"

/* The four requests, results and responses differ in the type of what they point to only. */
typedef Kms__V1__EncryptBatchRequest batch_request;
typedef Kms__V1__EncryptBatchResult batch_result;
typedef Kms__V1__EncryptBatchResponse batch_response;
#define SAME_LAYOUT(what)                                                                                    \
    _Static_assert(sizeof(Kms__V1__EncryptBatch##what) == sizeof(Kms__V1__DecryptBatch##what) &&             \
                       sizeof(Kms__V1__EncryptBatch##what) == sizeof(Kms__V1__ReEncryptBatch##what) &&       \
                       sizeof(Kms__V1__EncryptBatch##what) == sizeof(Kms__V1__GenerateDataKeyBatch##what),   \
                   "one layout")
SAME_LAYOUT(Request);
SAME_LAYOUT(Result);
SAME_LAYOUT(Response);

enum { MESSAGE_BYTES = 512, ITEM_BYTES = 768 /* contexts, additional data, overhead of an output */ };

/* What an item brings: bytes of plaintext or ciphertext, and pairs of encryption context. */
struct load {
    size_t bytes, pairs;
};

static struct load load_of(const struct kms_method *method, const void *item)
{
    const Kms__V1__EncryptRequest *encrypt = item;
    const Kms__V1__DecryptRequest *decrypt = item;
    const Kms__V1__ReEncryptRequest *reencrypt = item;
    const Kms__V1__GenerateDataKeyRequest *data_key = item;
    switch (method->action) {
    case KMS_ACT_ENCRYPT:
        return (struct load){encrypt->plaintext.len, encrypt->n_encryption_context};
    case KMS_ACT_DECRYPT:
        return (struct load){decrypt->ciphertext_blob.len, decrypt->n_encryption_context};
    case KMS_ACT_REENCRYPT_FROM:
        return (struct load){reencrypt->ciphertext_blob.len, reencrypt->n_source_encryption_context +
                                                                 reencrypt->n_destination_encryption_context};
    default:
        return (struct load){0, data_key->n_encryption_context};
    }
}

static kms_err check_load(struct kms_call *call, const batch_request *request, size_t *ret_bytes)
{
    const struct kms_method *method = call->method->item;
    const struct kms_core *core = call->core;
    struct load sum = {0};
    if (request->n_items < 1 || request->n_items > core->batch_items)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "items: 1 to %u, not %zu (limits.batch_items)",
                             core->batch_items, request->n_items);
    for (size_t i = 0; i < request->n_items; i++) {
        struct load item = load_of(method, request->items[i]);
        sum.bytes += item.bytes;
        sum.pairs += item.pairs;
    }
    /* What fits as plaintext is not refused for what encryption added to it. */
    size_t added = method->action == KMS_ACT_ENCRYPT
                       ? 0
                       : request->n_items * (KMS_CIPHERTEXT_BYTES - KMS_PLAINTEXT_BYTES);
    if (sum.bytes > core->batch_bytes + added)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "items: %zu bytes in sum, at most %zu (limits.batch_bytes)", sum.bytes,
                             core->batch_bytes + added);
    if (sum.pairs > KMS_BATCH_PAIRS)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "items: %zu pairs of encryption context in sum, at most %d", sum.pairs,
                             KMS_BATCH_PAIRS);
    *ret_bytes = sum.bytes;
    return KMS_OK;
}

static void make_item(struct kms_call *call, struct kms_call *item, const void *request)
{
    *item = (struct kms_call){.method = call->method->item,
                              .core = call->core,
                              .request = request,
                              .identity = call->identity, /* the batch's reference */
                              .started_us = call->started_us,
                              .deadline_us = call->deadline_us,
                              .request_id = call->request_id,
                              .part_of = call};
    kms_arena_init_part(&item->arena, &call->arena);
    kms_copy(item->source_ip, call->source_ip, sizeof item->source_ip);
}

kms_err kms_batch_gather(struct kms_call *call)
{
    const batch_request *request = (const void *)call->request;
    size_t bytes = 0;
    KMS_TRY(check_load(call, request, &bytes));
    /* The items, what each keeps of its own, and their outputs. */
    kms_arena_prepare(&call->arena, request->n_items * (sizeof(struct kms_call) + ITEM_BYTES) + bytes);
    struct kms_batch *batch = kms_call_alloc(call, sizeof *batch);
    struct kms_call *items = kms_call_alloc(call, request->n_items * sizeof *items);
    if (batch == NULL || items == NULL) return kms_batch_no_memory(call);
    for (size_t i = 0; i < request->n_items; i++) make_item(call, &items[i], request->items[i]);
    *batch = (struct kms_batch){.items = items, .count = request->n_items};
    call->batch = batch;
    return KMS_OK;
}

static kms_err put_error(struct kms_call *call, const struct kms_call *item, batch_result *result)
{
    Kms__V1__BatchError *error = kms_call_alloc(call, sizeof *error);
    char *message = kms_call_alloc(call, MESSAGE_BYTES);
    if (error == NULL || message == NULL) return KMS_FAIL(NO_MEMORY);
    kms__v1__batch_error__init(error);
    kms_err_public(item->err, &item->why, message, MESSAGE_BYTES);
    error->reason = kms_arena_print(&call->arena, "%s", kms_err_reason(item->err));
    error->message = message;
    error->code = (uint32_t)kms_err_grpc_status(item->err);
    if (error->reason == NULL) return KMS_FAIL(NO_MEMORY);
    result->error = error;
    result->result_case = KMS__V1__ENCRYPT_BATCH_RESULT__RESULT_ERROR;
    return KMS_OK;
}

/* The first failure, for people who read the log. */
static void note_failures(struct kms_call *call)
{
    const struct kms_batch *batch = call->batch;
    size_t failed = 0, first = 0;
    for (size_t i = batch->count; i-- > 0;) {
        if (!kms_failed(batch->items[i].err)) continue;
        failed++;
        first = i;
    }
    if (failed == 0) return;
    kms_why_set(&call->why, "%zu of %zu items failed, first items[%zu]: %s", failed, batch->count, first,
                batch->items[first].why.text);
}

static kms_err put_result(struct kms_call *call, const struct kms_call *item, batch_response *reply)
{
    batch_result *result = kms_call_alloc(call, sizeof *result);
    if (result == NULL) return KMS_FAIL(NO_MEMORY);
    protobuf_c_message_init(reply->base.descriptor->fields[0].descriptor, result);
    reply->results[reply->n_results++] = result;
    if (kms_failed(item->err)) return put_error(call, item, result);
    result->success = (Kms__V1__EncryptResponse *)item->reply;
    result->result_case = KMS__V1__ENCRYPT_BATCH_RESULT__RESULT_SUCCESS;
    return KMS_OK;
}

kms_err kms_batch_finish(struct kms_call *call)
{
    const struct kms_batch *batch = call->batch;
    KMS_TRY(kms_batch_check_memory(call));
    batch_response *reply = kms_new_reply(call);
    if (reply == NULL) return kms_batch_no_memory(call);
    reply->results = kms_call_alloc(call, batch->count * sizeof reply->results[0]);
    if (reply->results == NULL) return kms_batch_no_memory(call);
    for (size_t i = 0; i < batch->count; i++)
        if (kms_failed(put_result(call, &batch->items[i], reply))) return kms_batch_no_memory(call);
    note_failures(call);
    return KMS_OK;
}
