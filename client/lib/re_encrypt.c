/* ReEncrypt: one value, or many at a time on one connection. */
#include <kms/client.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/lib/context.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/crypto.pb-c.h"

/* What one call borrows while it runs. */
struct value {
    Kms__V1__ReEncryptRequest message;
    kms_context_map *source, *destination;
};

typedef struct re_encrypt_run {
    struct value *values;
    struct kms_unary *calls; /* calls[i] carries values[i] */
    size_t count;
} re_encrypt_run;

static void re_encrypt_run_free(re_encrypt_run *run)
{
    for (size_t i = 0; run->values != NULL && i < run->count; i++) {
        kms_context_map_drop(&run->values[i].source);
        kms_context_map_drop(&run->values[i].destination);
    }
    free(run->values);
    free(run->calls);
}

static bool fill_value(struct value *value, const struct kms_re_encrypt_request *request)
{
    if (!kms_context_map_new(&request->source_context,
                             &kms__v1__re_encrypt_request__source_encryption_context_entry__descriptor,
                             &value->source) ||
        !kms_context_map_new(&request->destination_context,
                             &kms__v1__re_encrypt_request__destination_encryption_context_entry__descriptor,
                             &value->destination))
        return false;
    Kms__V1__ReEncryptRequest *message = &value->message;
    struct kms_blob blob = request->ciphertext;
    kms__v1__re_encrypt_request__init(message);
    message->ciphertext_blob = kms_borrow_bytes(blob.data, blob.len);
    message->n_source_encryption_context = request->source_context.count;
    message->source_encryption_context = kms_context_map_entries(value->source);
    message->source_key_id = kms_borrow_text(request->source_key_id);
    message->destination_key_id = kms_borrow_text(request->destination_key_id);
    message->n_destination_encryption_context = request->destination_context.count;
    message->destination_encryption_context = kms_context_map_entries(value->destination);
    message->optional_ciphertext_crc32c_case =
        KMS__V1__RE_ENCRYPT_REQUEST__OPTIONAL_CIPHERTEXT_CRC32C_CIPHERTEXT_CRC32C;
    message->ciphertext_crc32c = kms_crc32c(0, kms_bytes_of(blob.data, blob.len));
    return true;
}

/* INVALID_ARGUMENT: why names the item. */
static kms_err fill(re_encrypt_run *run, const struct kms_re_encrypt_item *items, struct kms_why *why)
{
    run->values = calloc(run->count, sizeof *run->values);
    run->calls = calloc(run->count, sizeof *run->calls);
    if (run->values == NULL || run->calls == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < run->count; i++) {
        if (!fill_value(&run->values[i], &items[i].request)) return kms_context_refused(i, why);
        run->calls[i] =
            (struct kms_unary){.rpc = KMS_RPC_RE_ENCRYPT, .request = &run->values[i].message.base};
    }
    return KMS_OK;
}

static bool re_encrypt_items(kms_client *client, struct kms_re_encrypt_item *items, size_t count,
                             uint32_t in_flight, const struct kms_call_options *options)
{
    __attribute__((cleanup(re_encrypt_run_free))) re_encrypt_run run = {.count = count};
    struct kms_why why = {0};
    kms_err err = fill(&run, items, &why);
    for (size_t i = 0; kms_failed(err) && i < count; i++) kms_error_local(&items[i].error, err, &why);
    if (kms_failed(err)) return false;
    bool ok = kms_unary_run(client, options, run.calls, count, in_flight);
    for (size_t i = 0; i < count; i++) {
        items[i].result = run.calls[i].result;
        items[i].error = run.calls[i].error;
    }
    return ok;
}

bool kms_client_re_encrypt_many(kms_client *client, struct kms_re_encrypt_item *items, size_t count,
                                uint32_t in_flight, const struct kms_call_options *options,
                                struct kms_error *error)
{
    kms_error_clear(error);
    for (size_t i = 0; i < count; i++) items[i].result = NULL;
    if (count == 0 || re_encrypt_items(client, items, count, in_flight, options)) return true;
    size_t first = 0;
    while (first + 1 < count && items[first].error.code == 0) first++;
    if (error != NULL) *error = items[first].error;
    return false;
}

bool kms_client_re_encrypt(kms_client *client, const struct kms_re_encrypt_request *request,
                           const struct kms_call_options *options, struct kms_re_encrypt_result **ret_result,
                           struct kms_error *error)
{
    struct kms_re_encrypt_item item = {.request = *request};
    if (!kms_client_re_encrypt_many(client, &item, 1, 1, options, error)) return false;
    *ret_result = item.result;
    return true;
}
