/* BatchService: many requests of one kind as one call. */
#include "client/lib/batch.h"

#include <kms/client.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/failure.h"
#include "client/lib/fill.h"
#include "client/lib/unary.h"
#include "kms/v1/batch.pb-c.h"

/* A kind of batch: its method, and where things are in its items (the request is first). */
struct kind {
    enum kms_rpc_id rpc;
    const ProtobufCMessageDescriptor *request;
    kms_fill *fill;
    size_t item_bytes, result_at, error_at;
    void (*free_result)(void *result);
};

/* All batch requests have one layout. */
typedef Kms__V1__EncryptBatchRequest batch_request;
_Static_assert(sizeof(batch_request) == sizeof(Kms__V1__DecryptBatchRequest) &&
                   sizeof(batch_request) == sizeof(Kms__V1__ReEncryptBatchRequest) &&
                   sizeof(batch_request) == sizeof(Kms__V1__GenerateDataKeyBatchRequest),
               "one layout");

/* The public items of one call. */
struct items {
    const struct kind *kind;
    char *first;
    size_t count;
};

static void *item_at(const struct items *items, size_t i)
{
    return items->first + i * items->kind->item_bytes;
}

static void set_result(const struct items *items, size_t i, void *result)
{
    memcpy((char *)item_at(items, i) + items->kind->result_at, &result, sizeof result);
}

static struct kms_error *error_of(const struct items *items, size_t i)
{
    return (struct kms_error *)(void *)((char *)item_at(items, i) + items->kind->error_at);
}

/* The messages of one call. */
typedef struct filled_items {
    kms_filled *filled;
    Kms__V1__EncryptRequest **pointers;
    size_t count;
} filled_items;

static void filled_items_free(filled_items *all)
{
    for (size_t i = 0; all->filled != NULL && i < all->count; i++) kms_filled_drop(&all->filled[i]);
    free(all->filled);
    free(all->pointers);
}

static kms_err fill_all(const struct items *items, filled_items *all, struct kms_why *why)
{
    all->filled = calloc(items->count + 1, sizeof *all->filled);
    all->pointers = calloc(items->count + 1, sizeof(Kms__V1__EncryptRequest *));
    if (all->filled == NULL || all->pointers == NULL) return KMS_FAIL(NO_MEMORY);
    all->count = items->count;
    for (size_t i = 0; i < items->count; i++) {
        all->pointers[i] = &all->filled[i].message.encrypt;
        if (!items->kind->fill(item_at(items, i), &all->filled[i])) return kms_context_refused(i, why);
    }
    return KMS_OK;
}

static bool call_all(kms_client *client, const struct items *items, const struct kms_call_options *options,
                     struct kms_outcomes **ret_outcomes, struct kms_error *error)
{
    __attribute__((cleanup(filled_items_free))) filled_items all = {.count = 0};
    struct kms_why why = {{0}};
    kms_err err = fill_all(items, &all, &why);
    if (kms_failed(err)) {
        kms_error_local(error, err, &why);
        return false;
    }
    batch_request message;
    protobuf_c_message_init(items->kind->request, &message);
    message.n_items = items->count;
    message.items = all.pointers;
    struct kms_unary call = {.rpc = items->kind->rpc, .request = &message.base};
    void *outcomes = NULL;
    if (!kms_unary_one(client, options, &call, &outcomes, error)) return false;
    *ret_outcomes = outcomes;
    return true;
}

static bool run(kms_client *client, const struct items *items, const struct kms_call_options *options,
                struct kms_error *error)
{
    struct kms_error whole = {0}, *first = NULL;
    struct kms_outcomes *outcomes = NULL;
    bool called = call_all(client, items, options, &outcomes, &whole);
    if (called && outcomes->count != items->count) {
        for (size_t i = 0; i < outcomes->count; i++) items->kind->free_result(outcomes->items[i].result);
        kms_error_local(&whole, KMS_FAIL(INTERNAL), NULL);
        called = false;
    }
    for (size_t i = 0; i < items->count; i++) {
        struct kms_error *own = error_of(items, i);
        set_result(items, i, called ? outcomes->items[i].result : NULL);
        *own = called ? outcomes->items[i].error : whole;
        if (own->code != 0 && first == NULL) first = own;
    }
    free(outcomes);
    kms_error_clear(error);
    if (first == NULL && !called) first = &whole;
    if (first != NULL && error != NULL) *error = *first;
    return first == NULL;
}

#define BATCH(name, type, symbol)                                                                            \
    static void free_##type(void *result)                                                                    \
    {                                                                                                        \
        kms_##type##_result_free(result);                                                                    \
    }                                                                                                        \
    bool kms_client_##name##_batch(kms_client *client, struct kms_##type##_item *items, size_t count,        \
                                   const struct kms_call_options *options, struct kms_error *error)          \
    {                                                                                                        \
        static const struct kind kind = {                                                                    \
            .rpc = KMS_RPC_##symbol##_BATCH,                                                                 \
            .request = &kms__v1__##name##_batch_request__descriptor,                                         \
            .fill = kms_fill_##type,                                                                         \
            .item_bytes = sizeof(struct kms_##type##_item),                                                  \
            .result_at = offsetof(struct kms_##type##_item, result),                                         \
            .error_at = offsetof(struct kms_##type##_item, error),                                           \
            .free_result = free_##type,                                                                      \
        };                                                                                                   \
        const struct items all = {&kind, (char *)items, count};                                              \
        return run(client, &all, options, error);                                                            \
    }
BATCH(encrypt, encrypt, ENCRYPT)
BATCH(decrypt, decrypt, DECRYPT)
BATCH(re_encrypt, re_encrypt, RE_ENCRYPT)
BATCH(generate_data_key, data_key, DATA_KEY)
