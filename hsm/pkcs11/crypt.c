/* AES-256-GCM and random bytes, each as one step on the work session. */
#include "base/secret.h"
#include "hsm/pkcs11/cryptoki.h"

struct gcm_step {
    const struct kms_gcm *gcm;
    CK_BYTE *out;
    CK_ULONG cap, len;
    bool started; /* the key and the parameters were taken: what fails now is the data or the token */
};

static void gcm_mechanism(const struct kms_gcm *gcm, CK_GCM_PARAMS *params, CK_MECHANISM *mechanism)
{
    *params = (CK_GCM_PARAMS){.pIv = kms_unconst(gcm->iv),
                              .ulIvLen = KMS_GCM_IV_BYTES,
                              .ulIvBits = KMS_GCM_IV_BYTES * 8,
                              .pAAD = kms_unconst(gcm->aad.ptr),
                              .ulAADLen = gcm->aad.len,
                              .ulTagBits = KMS_GCM_TAG_BYTES * 8};
    *mechanism = (CK_MECHANISM){CKM_AES_GCM, params, sizeof *params};
}

static CK_RV encrypt_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct gcm_step *s = arg;
    CK_GCM_PARAMS params;
    CK_MECHANISM mechanism;
    gcm_mechanism(s->gcm, &params, &mechanism);
    CK_RV rv = fn->C_EncryptInit(session, &mechanism, s->gcm->key);
    if (rv != CKR_OK) return rv;
    s->len = s->cap;
    return fn->C_Encrypt(session, kms_unconst(s->gcm->input.ptr), s->gcm->input.len, s->out, &s->len);
}

static CK_RV decrypt_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct gcm_step *s = arg;
    CK_GCM_PARAMS params;
    CK_MECHANISM mechanism;
    gcm_mechanism(s->gcm, &params, &mechanism);
    CK_RV rv = fn->C_DecryptInit(session, &mechanism, s->gcm->key);
    s->started = rv == CKR_OK;
    if (rv != CKR_OK) return rv;
    s->len = s->cap;
    return fn->C_Decrypt(session, kms_unconst(s->gcm->input.ptr), s->gcm->input.len, s->out, &s->len);
}

kms_err kms_token_encrypt(kms_token *token, const struct kms_gcm *gcm, uint8_t *out, size_t cap,
                          size_t *ret_len)
{
    struct gcm_step s = {.gcm = gcm, .out = out, .cap = cap};
    KMS_TRY(kms_ckr_note(token, "C_Encrypt", kms_session_run(token, encrypt_step, &s)));
    if (s.len != gcm->input.len + KMS_GCM_TAG_BYTES) return KMS_FAIL(HSM_UNAVAILABLE);
    *ret_len = s.len;
    return KMS_OK;
}

kms_err kms_token_decrypt(kms_token *token, const struct kms_gcm *gcm, uint8_t *out, size_t cap,
                          size_t *ret_len)
{
    if (gcm->input.len < KMS_GCM_TAG_BYTES) return KMS_FAIL(INVALID_CIPHERTEXT);
    struct gcm_step s = {.gcm = gcm, .out = out, .cap = cap};
    CK_RV rv = kms_session_run(token, decrypt_step, &s);
    if (rv == CKR_OK && s.len == gcm->input.len - KMS_GCM_TAG_BYTES) {
        *ret_len = s.len;
        return KMS_OK;
    }
    kms_wipe(out, gcm->input.len < cap ? gcm->input.len : cap);
    if (!s.started) return kms_ckr_note(token, "C_DecryptInit", rv);
    if (kms_is(kms_ckr_err(rv), KMS_E_INVALID_CIPHERTEXT)) return KMS_FAIL(INVALID_CIPHERTEXT);
    /* A forged tag is CKR_GENERAL_ERROR to SoftHSM: if the token can still do its own block, the data was
     * bad. */
    kms_err noted = kms_ckr_note(token, "C_Decrypt", rv == CKR_OK ? CKR_GENERAL_ERROR : rv);
    if (kms_is(noted, KMS_E_NO_MEMORY)) return noted;
    KMS_TRY(kms_token_self_test(token));
    return KMS_FAIL(INVALID_CIPHERTEXT);
}

kms_err kms_token_self_test(kms_token *token)
{
    static const uint8_t block[16] = {0x6b, 0x6d, 0x73, 0x64};
    uint8_t sealed[sizeof block + KMS_GCM_TAG_BYTES], opened[sizeof sealed];
    struct kms_gcm gcm = {
        .key = token->self_test_key, .input = {block, sizeof block}, .aad = {block, sizeof block}};
    KMS_TRY(kms_token_random(token, gcm.iv, sizeof gcm.iv));
    struct gcm_step s = {.gcm = &gcm, .out = sealed, .cap = sizeof sealed};
    kms_err err = kms_ckr_note(token, "self-test C_Encrypt", kms_session_run(token, encrypt_step, &s));
    if (kms_failed(err)) return KMS_FAIL(HSM_UNAVAILABLE);
    gcm.input = kms_bytes_of(sealed, sizeof sealed);
    s = (struct gcm_step){.gcm = &gcm, .out = opened, .cap = sizeof opened};
    err = kms_ckr_note(token, "self-test C_Decrypt", kms_session_run(token, decrypt_step, &s));
    bool same = !kms_failed(err) && s.len == sizeof block && kms_bytes_same(opened, block, sizeof block);
    return same ? KMS_OK : KMS_FAIL(HSM_UNAVAILABLE);
}

struct random_step {
    CK_BYTE *data;
    CK_ULONG len;
};

static CK_RV random_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct random_step *s = arg;
    return fn->C_GenerateRandom(session, s->data, s->len);
}

kms_err kms_token_random(kms_token *token, void *data, size_t len)
{
    struct random_step s = {.data = data, .len = len};
    return kms_ckr_note(token, "C_GenerateRandom", kms_session_run(token, random_step, &s));
}
