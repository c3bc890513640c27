/* Decrypt: one value, or many at a time on one connection. */
#include <kms/client.h>
#include <stdlib.h>

#include "client/lib/failure.h"
#include "client/lib/fill.h"
#include "client/lib/unary.h"

/* The messages of one run; calls[i] carries filled[i]. */
typedef struct decrypt_run {
    kms_filled *filled;
    struct kms_unary *calls;
    size_t count;
} decrypt_run;

static void decrypt_run_free(decrypt_run *run)
{
    for (size_t i = 0; run->filled != NULL && i < run->count; i++) kms_filled_drop(&run->filled[i]);
    free(run->filled);
    free(run->calls);
}

/* INVALID_ARGUMENT: why names the item. */
static kms_err decrypt_run_fill(decrypt_run *run, const struct kms_decrypt_item *items, struct kms_why *why)
{
    run->filled = calloc(run->count, sizeof *run->filled);
    run->calls = calloc(run->count, sizeof *run->calls);
    if (run->filled == NULL || run->calls == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < run->count; i++) {
        run->calls[i] = (struct kms_unary){.rpc = KMS_RPC_DECRYPT, .request = &run->filled[i].message.base};
        if (!kms_fill_decrypt(&items[i].request, &run->filled[i])) return kms_context_refused(i, why);
    }
    return KMS_OK;
}

static bool fail_all(struct kms_decrypt_item *items, size_t count, kms_err err, const struct kms_why *why)
{
    for (size_t i = 0; i < count; i++) kms_error_local(&items[i].error, err, why);
    return false;
}

static bool decrypt_items(kms_client *client, struct kms_decrypt_item *items, size_t count,
                          uint32_t in_flight, const struct kms_call_options *options)
{
    __attribute__((cleanup(decrypt_run_free))) decrypt_run run = {.count = count};
    struct kms_why why = {0};
    kms_err err = decrypt_run_fill(&run, items, &why);
    if (kms_failed(err)) return fail_all(items, count, err, &why);
    bool ok = kms_unary_run(client, options, run.calls, count, in_flight);
    for (size_t i = 0; i < count; i++) {
        items[i].result = run.calls[i].result;
        items[i].error = run.calls[i].error;
    }
    return ok;
}

bool kms_client_decrypt_many(kms_client *client, struct kms_decrypt_item *items, size_t count,
                             uint32_t in_flight, const struct kms_call_options *options,
                             struct kms_error *error)
{
    kms_error_clear(error);
    for (size_t i = 0; i < count; i++) items[i].result = NULL;
    if (count == 0) return true;
    if (decrypt_items(client, items, count, in_flight, options)) return true;
    size_t first = 0;
    while (first + 1 < count && items[first].error.code == 0) first++;
    if (error != NULL) *error = items[first].error;
    return false;
}

bool kms_client_decrypt(kms_client *client, const struct kms_decrypt_request *request,
                        const struct kms_call_options *options, struct kms_decrypt_result **ret_result,
                        struct kms_error *error)
{
    struct kms_decrypt_item item = {.request = *request};
    if (!kms_client_decrypt_many(client, &item, 1, 1, options, error)) return false;
    *ret_result = item.result;
    return true;
}
