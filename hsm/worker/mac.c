/* HMAC keys: in the token, or with OpenSSL at SOFTWARE level. */
#include "base/secret.h"
#include "hsm/worker/worker.h"

static kms_err mac_of(struct kms_worker *w, const struct kms_hsm_job *job, uint8_t mac[KMS_HSM_MAC_BYTES],
                      size_t *ret_len)
{
    const struct kms_open_key *key;
    const unsigned bits = kms_algorithm_of(job->algorithm)->hash;
    size_t len = bits / 8;
    KMS_TRY(kms_keyring_open(w->keyring, &job->key, &key));
    *ret_len = len;
    if (key->level == KMS_LEVEL_HSM) return kms_token_hmac(w->token, key->object, bits, job->input, mac);
    bool ok = EVP_MAC_init(key->mac, NULL, 0, NULL) == 1 && /* the key stays */
              EVP_MAC_update(key->mac, job->input.ptr, job->input.len) == 1 &&
              EVP_MAC_final(key->mac, mac, &len, KMS_HSM_MAC_BYTES) == 1 && len == *ret_len;
    return ok ? KMS_OK : KMS_FAIL(INTERNAL);
}

kms_err kms_op_mac(struct kms_worker *w, struct kms_hsm_job *job)
{
    return mac_of(w, job, job->output, &job->output_len);
}

kms_err kms_op_verify_mac(struct kms_worker *w, struct kms_hsm_job *job)
{
    uint8_t mac[KMS_HSM_MAC_BYTES];
    size_t len;
    KMS_TRY(mac_of(w, job, mac, &len));
    bool same = job->proof.len == len && kms_bytes_same(mac, job->proof.ptr, len);
    kms_wipe(mac, sizeof mac); /* it would be a valid one */
    return same ? KMS_OK : KMS_FAIL(INVALID_MAC);
}
