/* GenerateMac and VerifyMac. */
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static struct kms_use use_of_generate(const struct kms_call *call)
{
    const Kms__V1__GenerateMacRequest *request = (const void *)call->request;
    return (struct kms_use){.key_id = request->key_id,
                            .message = request->message,
                            .algorithm = kms_algorithm_of_mac(request->mac_algorithm)};
}

kms_err kms_generate_mac_gather(struct kms_call *call)
{
    const struct kms_use use = use_of_generate(call);
    return kms_use_gather(call, KMS_ACT_GENERATE_MAC, &use);
}

kms_err kms_generate_mac_plan(struct kms_call *call)
{
    const struct kms_use use = use_of_generate(call);
    return kms_use_plan(call, KMS_HSM_MAC, &use);
}

kms_err kms_generate_mac_finish(struct kms_call *call)
{
    const Kms__V1__GenerateMacRequest *request = (const void *)call->request;
    Kms__V1__GenerateMacResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->mac = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->mac_algorithm = request->mac_algorithm;
    return KMS_OK;
}

static struct kms_use use_of_verify(const struct kms_call *call)
{
    const Kms__V1__VerifyMacRequest *request = (const void *)call->request;
    return (struct kms_use){.key_id = request->key_id,
                            .message = request->message,
                            .algorithm = kms_algorithm_of_mac(request->mac_algorithm)};
}

kms_err kms_verify_mac_gather(struct kms_call *call)
{
    const Kms__V1__VerifyMacRequest *request = (const void *)call->request;
    const struct kms_use use = use_of_verify(call);
    KMS_TRY(kms_use_gather(call, KMS_ACT_VERIFY_MAC, &use));
    if (request->mac.len >= 1 && request->mac.len <= KMS_HSM_PROOF_BYTES) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "mac: 1 to %d bytes, not %zu", KMS_HSM_PROOF_BYTES,
                         request->mac.len);
}

kms_err kms_verify_mac_plan(struct kms_call *call)
{
    const Kms__V1__VerifyMacRequest *request = (const void *)call->request;
    const struct kms_use use = use_of_verify(call);
    call->job.proof = kms_bytes_of(request->mac.data, request->mac.len);
    return kms_use_plan(call, KMS_HSM_VERIFY_MAC, &use);
}

kms_err kms_verify_mac_finish(struct kms_call *call)
{
    const Kms__V1__VerifyMacRequest *request = (const void *)call->request;
    Kms__V1__VerifyMacResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->mac_valid = true;
    reply->mac_algorithm = request->mac_algorithm;
    return KMS_OK;
}
