/* Keys encrypted as data under root-seal. */
#include "base/secret.h"
#include "hsm/worker/worker.h"

enum { AAD_BYTES = 1 + KMS_HSM_AAD_BYTES };

static kms_err purpose_aad(enum kms_seal_purpose purpose, struct kms_bytes aad, uint8_t *memory,
                           struct kms_gcm *gcm)
{
    struct kms_writer w = kms_writer_over(memory, AAD_BYTES);
    kms_put_u8(&w, (uint8_t)purpose);
    kms_put_raw(&w, aad.ptr, aad.len);
    gcm->aad = kms_bytes_of(memory, (size_t)(w.at - memory));
    return w.overflow ? KMS_FAIL(INVALID_ARGUMENT) : KMS_OK;
}

kms_err kms_seal_key(kms_token *token, kms_object seal, enum kms_seal_purpose purpose, struct kms_bytes aad,
                     const uint8_t key[32], uint8_t ret_sealed[KMS_SEALED_KEY_BYTES])
{
    uint8_t memory[AAD_BYTES];
    size_t len;
    struct kms_gcm gcm = {.key = seal, .input = {key, 32}};
    KMS_TRY(purpose_aad(purpose, aad, memory, &gcm));
    KMS_TRY(kms_token_random(token, gcm.iv, sizeof gcm.iv));
    KMS_TRY(kms_token_encrypt(token, &gcm, ret_sealed + KMS_GCM_IV_BYTES,
                              KMS_SEALED_KEY_BYTES - KMS_GCM_IV_BYTES, &len));
    kms_copy(ret_sealed, gcm.iv, sizeof gcm.iv);
    return KMS_OK;
}

kms_err kms_unseal_key(kms_token *token, kms_object seal, enum kms_seal_purpose purpose, struct kms_bytes aad,
                       struct kms_bytes sealed, uint8_t key[64])
{
    uint8_t memory[AAD_BYTES];
    size_t len;
    struct kms_gcm gcm = {.key = seal};
    if (sealed.len != KMS_SEALED_KEY_BYTES) return KMS_FAIL(CORRUPT);
    kms_copy(gcm.iv, sealed.ptr, sizeof gcm.iv);
    gcm.input = kms_bytes_of(sealed.ptr + sizeof gcm.iv, sealed.len - sizeof gcm.iv);
    KMS_TRY(purpose_aad(purpose, aad, memory, &gcm));
    kms_err err = kms_token_decrypt(token, &gcm, key, 64, &len);
    return kms_is(err, KMS_E_INVALID_CIPHERTEXT) ? KMS_FAIL(CORRUPT) : err;
}
