/* Replies of BatchService become outcomes; each item's reply as that of the single call. */
#include <stdlib.h>

#include "client/lib/batch.h"
#include "client/lib/failure.h"
#include "client/lib/rpc.h"
#include "kms/v1/batch.pb-c.h"

/* The four responses and results differ in the type of what they point to only. */
typedef Kms__V1__EncryptBatchResponse batch_response;
typedef Kms__V1__EncryptBatchResult batch_result;
_Static_assert(sizeof(batch_response) == sizeof(Kms__V1__DecryptBatchResponse) &&
                   sizeof(batch_response) == sizeof(Kms__V1__ReEncryptBatchResponse) &&
                   sizeof(batch_response) == sizeof(Kms__V1__GenerateDataKeyBatchResponse) &&
                   sizeof(batch_result) == sizeof(Kms__V1__DecryptBatchResult) &&
                   sizeof(batch_result) == sizeof(Kms__V1__ReEncryptBatchResult) &&
                   sizeof(batch_result) == sizeof(Kms__V1__GenerateDataKeyBatchResult),
               "one layout");

static void take_one(const batch_result *from, kms_take *take, struct kms_outcome *outcome)
{
    struct kms_why why = {{0}};
    kms_err err = KMS_FAIL(INTERNAL); /* neither: no server of ours */
    if (from->result_case == KMS__V1__ENCRYPT_BATCH_RESULT__RESULT_ERROR) {
        kms_error_item(&outcome->error, from->error->code, from->error->reason, from->error->message);
        return;
    }
    if (from->result_case == KMS__V1__ENCRYPT_BATCH_RESULT__RESULT_SUCCESS)
        err = take((const ProtobufCMessage *)from->success, &outcome->result, &why);
    if (kms_failed(err)) kms_error_local(&outcome->error, err, &why);
}

static kms_err take_all(const ProtobufCMessage *message, kms_take *take, void **ret_result)
{
    const batch_response *reply = (const batch_response *)message;
    struct kms_outcomes *outcomes =
        calloc(1, sizeof *outcomes + reply->n_results * sizeof outcomes->items[0]);
    if (outcomes == NULL) return KMS_FAIL(NO_MEMORY);
    outcomes->count = reply->n_results;
    for (size_t i = 0; i < reply->n_results; i++) take_one(reply->results[i], take, &outcomes->items[i]);
    *ret_result = outcomes;
    return KMS_OK;
}

#define TAKE(kind)                                                                                           \
    kms_err kms_take_##kind##_batch(const ProtobufCMessage *reply, void **ret_result, struct kms_why *why)   \
    {                                                                                                        \
        (void)why; /* each item has its own */                                                               \
        return take_all(reply, kms_take_##kind, ret_result);                                                 \
    }
TAKE(encrypt)
TAKE(decrypt)
TAKE(re_encrypt)
TAKE(data_key)
