/* Decrypt: one value, or many at a time on one connection. */
#include <kms/client.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/lib/context.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/crypto.pb-c.h"

/* The messages of one run; calls[i] carries messages[i], which borrows maps[i]. */
typedef struct decrypt_run {
    Kms__V1__DecryptRequest *messages;
    kms_context_map **maps;
    struct kms_unary *calls;
    size_t count;
} decrypt_run;

static void decrypt_run_free(decrypt_run *run)
{
    for (size_t i = 0; run->maps != NULL && i < run->count; i++) kms_context_map_drop(&run->maps[i]);
    free(run->maps);
    free(run->messages);
    free(run->calls);
}

static bool add_call(decrypt_run *run, size_t i, const struct kms_decrypt_request *request)
{
    if (!kms_context_map_new(&request->context,
                             &kms__v1__decrypt_request__encryption_context_entry__descriptor, &run->maps[i]))
        return false;
    Kms__V1__DecryptRequest *message = &run->messages[i];
    kms__v1__decrypt_request__init(message);
    message->ciphertext_blob = kms_borrow_bytes(request->ciphertext.data, request->ciphertext.len);
    message->n_encryption_context = request->context.count;
    message->encryption_context = kms_context_map_entries(run->maps[i]);
    message->key_id = kms_borrow_text(request->key_id);
    message->encryption_algorithm = (Kms__V1__EncryptionAlgorithm)request->encryption_algorithm;
    message->optional_ciphertext_crc32c_case =
        KMS__V1__DECRYPT_REQUEST__OPTIONAL_CIPHERTEXT_CRC32C_CIPHERTEXT_CRC32C;
    message->ciphertext_crc32c =
        kms_crc32c(0, kms_bytes_of(request->ciphertext.data, request->ciphertext.len));
    run->calls[i] = (struct kms_unary){.rpc = KMS_RPC_DECRYPT, .request = &message->base};
    return true;
}

/* INVALID_ARGUMENT: why names the item. */
static kms_err decrypt_run_fill(decrypt_run *run, const struct kms_decrypt_item *items, struct kms_why *why)
{
    run->messages = calloc(run->count, sizeof *run->messages);
    run->maps = calloc(run->count, sizeof(kms_context_map *));
    run->calls = calloc(run->count, sizeof *run->calls);
    if (run->messages == NULL || run->maps == NULL || run->calls == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < run->count; i++) {
        if (!add_call(run, i, &items[i].request)) return kms_context_refused(i, why);
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
