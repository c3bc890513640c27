/* Decrypt: open what Encrypt or GenerateDataKey* made; the ciphertext names key and version. */
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static bool is_rsa(const Kms__V1__DecryptRequest *request)
{
    return request->encryption_algorithm ==
           KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_RSAES_OAEP_SHA_256;
}

kms_err kms_decrypt_gather(struct kms_call *call)
{
    const Kms__V1__DecryptRequest *request = (const void *)call->request;
    struct kms_access *access;
    unsigned algorithm;
    KMS_TRY(kms_encryption_algorithm(call, request->encryption_algorithm, &algorithm));
    /* What an RSA key encrypted does not say with which. */
    KMS_TRY(is_rsa(request)
                ? kms_access_named(call, KMS_ACT_DECRYPT, request->key_id, &access)
                : kms_open_gather(call, KMS_ACT_DECRYPT, request->ciphertext_blob, request->key_id, &access));
    KMS_TRY(kms_access_algorithm(call, access, algorithm, false));
    KMS_TRY(kms_access_label(call, access, algorithm, request->oaep_label));
    KMS_TRY(kms_access_context(call, access, request->n_encryption_context, request->encryption_context));
    if (request->optional_ciphertext_crc32c_case == 0) return KMS_OK;
    return kms_check_crc32c(call, "ciphertext_blob", request->ciphertext_blob, request->ciphertext_crc32c);
}

kms_err kms_decrypt_plan(struct kms_call *call)
{
    const Kms__V1__DecryptRequest *request = (const void *)call->request;
    if (is_rsa(request))
        return kms_rsa_plan(call, KMS_HSM_RSA_DECRYPT, request->ciphertext_blob, request->oaep_label);
    call->job.op = KMS_HSM_DECRYPT;
    KMS_TRY(kms_open_plan(call, &call->access[0], request->ciphertext_blob, request->key_id));
    call->job.output_cap = kms_hsm_output_bound(&call->job);
    call->job.output = kms_call_alloc(call, call->job.output_cap);
    return call->job.output != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_decrypt_finish(struct kms_call *call)
{
    const Kms__V1__DecryptRequest *request = (const void *)call->request;
    Kms__V1__DecryptResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->encryption_algorithm = is_rsa(request)
                                      ? request->encryption_algorithm
                                      : KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_SYMMETRIC_DEFAULT;
    reply->plaintext = (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len};
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->plaintext_crc32c = kms_crc32c_of(reply->plaintext);
    reply->verified_ciphertext_crc32c = request->optional_ciphertext_crc32c_case != 0;
    return KMS_OK;
}
