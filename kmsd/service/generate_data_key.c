/* GenerateDataKey and GenerateDataKeyWithoutPlaintext: random bytes of the token, sealed under a key. */
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

typedef Kms__V1__GenerateDataKeyRequest data_key_request;
/* The other request has the same fields: one gather reads both. */
_Static_assert(sizeof(data_key_request) == sizeof(Kms__V1__GenerateDataKeyWithoutPlaintextRequest),
               "one layout");

static kms_err wanted_bytes(struct kms_call *call, const data_key_request *request, uint32_t *ret_count)
{
    static const uint32_t by_name[] = {[KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_128] = 16,
                                       [KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_AES_256] = 32};
    bool named = request->key_spec != KMS__V1__DATA_KEY_SPEC__DATA_KEY_SPEC_UNSPECIFIED;
    bool known = (unsigned)request->key_spec < sizeof by_name / sizeof by_name[0];
    if (named == (request->number_of_bytes != 0) || !known || request->number_of_bytes > KMS_HSM_RANDOM_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT),
                             "exactly one of key_spec (AES_128, AES_256) and number_of_bytes (1 to %d)",
                             KMS_HSM_RANDOM_BYTES);
    *ret_count = named ? by_name[request->key_spec] : request->number_of_bytes;
    return KMS_OK;
}

static kms_err gather(struct kms_call *call, enum kms_action action)
{
    const data_key_request *request = (const void *)call->request;
    struct kms_access *access;
    KMS_TRY(kms_access_named(call, action, request->key_id, &access));
    KMS_TRY(kms_access_context(call, access, request->n_encryption_context, request->encryption_context));
    return wanted_bytes(call, request, &call->job.count);
}

static kms_err plan(struct kms_call *call, enum kms_hsm_op op)
{
    call->job.op = op;
    KMS_TRY(kms_seal_plan(call, &call->access[0], &call->job.key, &call->job.aad));
    if (call->out_of_budget) return KMS_OK;
    return kms_seal_output(call, &call->access[0], call->job.count);
}

kms_err kms_generate_data_key_gather(struct kms_call *call)
{
    return gather(call, KMS_ACT_GENERATE_DATA_KEY);
}
kms_err kms_generate_data_key_plan(struct kms_call *call)
{
    return plan(call, KMS_HSM_DATA_KEY);
}

kms_err kms_generate_data_key_finish(struct kms_call *call)
{
    Kms__V1__GenerateDataKeyResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    uint32_t count = call->job.count;
    if (call->job.output_len != call->job.output_cap) return KMS_FAIL(INTERNAL); /* no worker is trusted */
    uint8_t *plaintext = kms_call_alloc(call, count);
    if (reply == NULL || arn == NULL || plaintext == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(plaintext, call->job.output, count); /* the header goes where it stood */
    reply->ciphertext_blob = kms_seal_blob(call, &call->access[0], count);
    reply->plaintext = (ProtobufCBinaryData){.data = plaintext, .len = count};
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->ciphertext_crc32c = kms_crc32c_of(reply->ciphertext_blob);
    reply->plaintext_crc32c = kms_crc32c_of(reply->plaintext);
    return KMS_OK;
}

kms_err kms_generate_data_key_without_plaintext_gather(struct kms_call *call)
{
    return gather(call, KMS_ACT_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT);
}

kms_err kms_generate_data_key_without_plaintext_plan(struct kms_call *call)
{
    return plan(call, KMS_HSM_DATA_KEY_SEALED);
}

kms_err kms_generate_data_key_without_plaintext_finish(struct kms_call *call)
{
    Kms__V1__GenerateDataKeyWithoutPlaintextResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->ciphertext_blob = kms_seal_blob(call, &call->access[0], 0);
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->ciphertext_crc32c = kms_crc32c_of(reply->ciphertext_blob);
    return KMS_OK;
}
