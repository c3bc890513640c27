/* Keys encrypted as data under root-seal. */
#include "hsm/worker/worker.h"

enum { AAD_BYTES = 1 + KMS_HSM_AAD_BYTES };

static kms_err purpose_aad(const struct kms_sealing *sealing, uint8_t *memory, struct kms_gcm *gcm)
{
    struct kms_writer w = kms_writer_over(memory, AAD_BYTES);
    kms_put_u8(&w, (uint8_t)sealing->purpose);
    kms_put_raw(&w, sealing->aad.ptr, sealing->aad.len);
    gcm->aad = kms_bytes_of(memory, (size_t)(w.at - memory));
    return w.overflow ? KMS_FAIL(INVALID_ARGUMENT) : KMS_OK;
}

kms_err kms_seal_key(kms_token *token, const struct kms_sealing *sealing, struct kms_bytes key,
                     uint8_t *ret_sealed)
{
    uint8_t memory[AAD_BYTES];
    size_t len;
    struct kms_gcm gcm = {.key = sealing->root, .input = key};
    KMS_TRY(purpose_aad(sealing, memory, &gcm));
    KMS_TRY(kms_token_random(token, gcm.iv, sizeof gcm.iv));
    KMS_TRY(kms_token_encrypt(token, &gcm, ret_sealed + KMS_GCM_IV_BYTES, key.len + KMS_GCM_TAG_BYTES, &len));
    kms_copy(ret_sealed, gcm.iv, sizeof gcm.iv);
    return KMS_OK;
}

kms_err kms_unseal_key(kms_token *token, const struct kms_sealing *sealing, struct kms_bytes sealed,
                       uint8_t *key, size_t *ret_len)
{
    uint8_t memory[AAD_BYTES];
    struct kms_gcm gcm = {.key = sealing->root};
    if (sealed.len <= KMS_SEALED_OVERHEAD) return KMS_FAIL(CORRUPT);
    kms_copy(gcm.iv, sealed.ptr, sizeof gcm.iv);
    gcm.input = kms_bytes_of(sealed.ptr + sizeof gcm.iv, sealed.len - sizeof gcm.iv);
    KMS_TRY(purpose_aad(sealing, memory, &gcm));
    kms_err err = kms_token_decrypt(token, &gcm, key, sealed.len, ret_len);
    return kms_is(err, KMS_E_INVALID_CIPHERTEXT) ? KMS_FAIL(CORRUPT) : err;
}
