/* GenerateRandom: bytes of the token's generator. */
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_generate_random_gather(struct kms_call *call)
{
    const Kms__V1__GenerateRandomRequest *request = (const void *)call->request;
    KMS_TRY(kms_access_service(call, KMS_ACT_GENERATE_RANDOM));
    if (request->number_of_bytes < 1 || request->number_of_bytes > KMS_HSM_RANDOM_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "number_of_bytes: 1 to %d",
                             KMS_HSM_RANDOM_BYTES);
    return KMS_OK;
}

kms_err kms_generate_random_plan(struct kms_call *call)
{
    const Kms__V1__GenerateRandomRequest *request = (const void *)call->request;
    call->job.op = KMS_HSM_RANDOM;
    call->job.count = request->number_of_bytes;
    call->job.output_cap = request->number_of_bytes;
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_generate_random_finish(struct kms_call *call)
{
    Kms__V1__GenerateRandomResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->plaintext = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->plaintext_crc32c = kms_crc32c_of(reply->plaintext);
    return KMS_OK;
}
