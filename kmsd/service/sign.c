/* Sign and Verify: with a key pair, over a message or its digest. */
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static bool is_digest(Kms__V1__MessageType type)
{
    return type == KMS__V1__MESSAGE_TYPE__MESSAGE_TYPE_DIGEST;
}

static kms_err check_type(struct kms_call *call, Kms__V1__MessageType type)
{
    if (type <= KMS__V1__MESSAGE_TYPE__MESSAGE_TYPE_DIGEST) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "message_type: RAW or DIGEST");
}

static struct kms_use use_of_sign(const struct kms_call *call)
{
    const Kms__V1__SignRequest *request = (const void *)call->request;
    return (struct kms_use){.key_id = request->key_id,
                            .message = request->message,
                            .algorithm = kms_algorithm_of_signing(request->signing_algorithm),
                            .digested = is_digest(request->message_type)};
}

kms_err kms_sign_gather(struct kms_call *call)
{
    const Kms__V1__SignRequest *request = (const void *)call->request;
    const struct kms_use use = use_of_sign(call);
    KMS_TRY(kms_use_gather(call, KMS_ACT_SIGN, &use));
    return check_type(call, request->message_type);
}

kms_err kms_sign_plan(struct kms_call *call)
{
    const struct kms_use use = use_of_sign(call);
    return kms_use_plan(call, KMS_HSM_SIGN, &use);
}

kms_err kms_sign_finish(struct kms_call *call)
{
    const Kms__V1__SignRequest *request = (const void *)call->request;
    Kms__V1__SignResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->signature = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->signing_algorithm = request->signing_algorithm;
    return KMS_OK;
}

static struct kms_use use_of_verify(const struct kms_call *call)
{
    const Kms__V1__VerifyRequest *request = (const void *)call->request;
    return (struct kms_use){.key_id = request->key_id,
                            .message = request->message,
                            .algorithm = kms_algorithm_of_signing(request->signing_algorithm),
                            .digested = is_digest(request->message_type)};
}

kms_err kms_verify_gather(struct kms_call *call)
{
    const Kms__V1__VerifyRequest *request = (const void *)call->request;
    const struct kms_use use = use_of_verify(call);
    KMS_TRY(kms_use_gather(call, KMS_ACT_VERIFY, &use));
    KMS_TRY(check_type(call, request->message_type));
    if (request->signature.len >= 1 && request->signature.len <= KMS_HSM_PROOF_BYTES) return KMS_OK;
    return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "signature: 1 to %d bytes, not %zu",
                         KMS_HSM_PROOF_BYTES, request->signature.len);
}

kms_err kms_verify_plan(struct kms_call *call)
{
    const Kms__V1__VerifyRequest *request = (const void *)call->request;
    const struct kms_use use = use_of_verify(call);
    call->job.proof = kms_bytes_of(request->signature.data, request->signature.len);
    return kms_use_plan(call, KMS_HSM_VERIFY, &use);
}

kms_err kms_verify_finish(struct kms_call *call)
{
    const Kms__V1__VerifyRequest *request = (const void *)call->request;
    Kms__V1__VerifyResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->signature_valid = true;
    reply->signing_algorithm = request->signing_algorithm;
    return KMS_OK;
}
