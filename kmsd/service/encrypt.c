/* Encrypt: seal the caller's plaintext under the current version of a key. */
#include "base/ciphertext.h"
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

static bool is_rsa(const Kms__V1__EncryptRequest *request)
{
    return request->encryption_algorithm ==
           KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_RSAES_OAEP_SHA_256;
}

kms_err kms_encrypt_gather(struct kms_call *call)
{
    const Kms__V1__EncryptRequest *request = (const void *)call->request;
    struct kms_access *access;
    unsigned algorithm;
    KMS_TRY(kms_access_named(call, KMS_ACT_ENCRYPT, request->key_id, &access));
    KMS_TRY(kms_encryption_algorithm(call, request->encryption_algorithm, &algorithm));
    KMS_TRY(kms_access_algorithm(call, access, algorithm, false));
    KMS_TRY(kms_access_label(call, access, algorithm, request->oaep_label));
    KMS_TRY(kms_access_context(call, access, request->n_encryption_context, request->encryption_context));
    if (request->plaintext.len < 1 || request->plaintext.len > KMS_PLAINTEXT_BYTES)
        return kms_call_fail(call, KMS_FAIL(INVALID_ARGUMENT), "plaintext: 1 to %d bytes, not %zu",
                             KMS_PLAINTEXT_BYTES, request->plaintext.len);
    if (request->optional_plaintext_crc32c_case == 0) return KMS_OK;
    return kms_check_crc32c(call, "plaintext", request->plaintext, request->plaintext_crc32c);
}

kms_err kms_encrypt_plan(struct kms_call *call)
{
    const Kms__V1__EncryptRequest *request = (const void *)call->request;
    if (is_rsa(request))
        return kms_rsa_plan(call, KMS_HSM_RSA_ENCRYPT, request->plaintext, request->oaep_label);
    call->job.op = KMS_HSM_ENCRYPT;
    call->job.input = kms_bytes_of(request->plaintext.data, request->plaintext.len);
    KMS_TRY(kms_seal_plan(call, &call->access[0], &call->job.key, &call->job.aad));
    if (call->out_of_budget) return KMS_OK;
    return kms_seal_output(call, &call->access[0], request->plaintext.len);
}

kms_err kms_encrypt_finish(struct kms_call *call)
{
    const Kms__V1__EncryptRequest *request = (const void *)call->request;
    Kms__V1__EncryptResponse *reply = kms_new_reply(call);
    char *arn = kms_access_arn(call, &call->access[0]);
    if (reply == NULL || arn == NULL) return KMS_FAIL(NO_MEMORY);
    reply->ciphertext_blob =
        is_rsa(request) ? (ProtobufCBinaryData){.data = call->job.output, .len = call->job.output_len}
                        : kms_seal_blob(call, &call->access[0], 0);
    reply->encryption_algorithm = is_rsa(request)
                                      ? request->encryption_algorithm
                                      : KMS__V1__ENCRYPTION_ALGORITHM__ENCRYPTION_ALGORITHM_SYMMETRIC_DEFAULT;
    reply->key_id = arn;
    reply->key_version = call->access[0].version;
    reply->ciphertext_crc32c = kms_crc32c_of(reply->ciphertext_blob);
    reply->verified_plaintext_crc32c = request->optional_plaintext_crc32c_case != 0;
    return KMS_OK;
}
