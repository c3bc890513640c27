/* ReEncrypt: open under one key, seal under another, in one HSM job, so that the plaintext never reaches this
 * process. */
#include "kms/v1/crypto.pb-c.h"
#include "kmsd/service/access.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

kms_err kms_reencrypt_gather(struct kms_call *call)
{
    const Kms__V1__ReEncryptRequest *request = (const void *)call->request;
    struct kms_access *from, *to;
    KMS_TRY(kms_open_gather(call, KMS_ACT_REENCRYPT_FROM, request->ciphertext_blob, request->source_key_id,
                            &from));
    KMS_TRY(kms_access_context(call, from, request->n_source_encryption_context,
                               request->source_encryption_context));
    KMS_TRY(kms_access_named(call, KMS_ACT_REENCRYPT_TO, request->destination_key_id, &to));
    KMS_TRY(kms_access_context(call, to, request->n_destination_encryption_context,
                               request->destination_encryption_context));
    call->reencrypt = true;
    if (request->optional_ciphertext_crc32c_case == 0) return KMS_OK;
    return kms_check_crc32c(call, "ciphertext_blob", request->ciphertext_blob, request->ciphertext_crc32c);
}

kms_err kms_reencrypt_plan(struct kms_call *call)
{
    const Kms__V1__ReEncryptRequest *request = (const void *)call->request;
    call->job.op = KMS_HSM_REENCRYPT;
    KMS_TRY(kms_open_plan(call, &call->access[0], request->ciphertext_blob, request->source_key_id));
    KMS_TRY(kms_seal_plan(call, &call->access[1], &call->job.to, &call->job.to_aad));
    if (call->out_of_budget) return KMS_OK;
    return kms_seal_output(call, &call->access[1],
                           call->job.input.len); /* a little more than the plaintext */
}

kms_err kms_reencrypt_finish(struct kms_call *call)
{
    const Kms__V1__ReEncryptRequest *request = (const void *)call->request;
    Kms__V1__ReEncryptResponse *reply = kms_new_reply(call);
    char *from = kms_access_arn(call, &call->access[0]), *to = kms_access_arn(call, &call->access[1]);
    if (reply == NULL || from == NULL || to == NULL) return KMS_FAIL(NO_MEMORY);
    reply->ciphertext_blob = kms_seal_blob(call, &call->access[1], 0);
    reply->source_key_id = from;
    reply->source_key_version = call->access[0].version;
    reply->key_id = to;
    reply->key_version = call->access[1].version;
    reply->ciphertext_crc32c = kms_crc32c_of(reply->ciphertext_blob);
    reply->verified_ciphertext_crc32c = request->optional_ciphertext_crc32c_case != 0;
    return KMS_OK;
}
