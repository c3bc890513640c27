/* HMAC, ECDSA and the RSA private operation, each as one step on the work session. */
#include "base/secret.h"
#include "hsm/pkcs11/cryptoki.h"

struct sign_step {
    CK_MECHANISM mechanism;
    CK_OBJECT_HANDLE key;
    struct kms_bytes message;
    CK_BYTE *out;
    CK_ULONG cap, len;
};

static CK_RV sign_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct sign_step *s = arg;
    CK_RV rv = fn->C_SignInit(session, &s->mechanism, s->key);
    if (rv != CKR_OK) return rv;
    s->len = s->cap;
    return fn->C_Sign(session, kms_unconst(s->message.ptr), s->message.len, s->out, &s->len);
}

static kms_err sign(kms_token *token, struct sign_step *s)
{
    KMS_TRY(kms_ckr_note(token, "C_Sign", kms_session_run(token, sign_step, s)));
    return s->len == s->cap ? KMS_OK : KMS_FAIL(HSM_UNAVAILABLE);
}

kms_err kms_token_hmac(kms_token *token, kms_object key, unsigned bits, struct kms_bytes message,
                       uint8_t *ret_mac)
{
    struct sign_step s = {.key = key, .message = message, .out = ret_mac, .cap = bits / 8};
    s.mechanism.mechanism = bits == 256 ? CKM_SHA256_HMAC : bits == 384 ? CKM_SHA384_HMAC : CKM_SHA512_HMAC;
    return sign(token, &s);
}

static CK_RSA_PKCS_PSS_PARAMS pss_of(unsigned hash)
{
    if (hash == 256) return (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, 32};
    if (hash == 384) return (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA384, CKG_MGF1_SHA384, 48};
    return (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA512, CKG_MGF1_SHA512, 64};
}

kms_err kms_token_sign(kms_token *token, const struct kms_signing *signing, uint8_t *out, size_t cap)
{
    CK_RSA_PKCS_PSS_PARAMS pss = pss_of(signing->hash);
    struct sign_step s = {.key = signing->key, .message = signing->input, .out = out, .cap = cap};
    if (signing->how == KMS_SIGNING_RSA_PSS)
        s.mechanism = (CK_MECHANISM){CKM_RSA_PKCS_PSS, &pss, sizeof pss};
    else
        s.mechanism.mechanism = signing->how == KMS_SIGNING_ECDSA ? CKM_ECDSA : CKM_RSA_PKCS;
    return sign(token, &s);
}

struct private_step {
    CK_OBJECT_HANDLE key;
    struct kms_bytes input;
    CK_BYTE *out;
    CK_ULONG len;
};

static CK_RV private_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct private_step *s = arg;
    CK_MECHANISM mechanism = {CKM_RSA_X_509, NULL, 0};
    CK_RV rv = fn->C_DecryptInit(session, &mechanism, s->key);
    if (rv != CKR_OK) return rv;
    s->len = s->input.len;
    return fn->C_Decrypt(session, kms_unconst(s->input.ptr), s->input.len, s->out, &s->len);
}

kms_err kms_token_rsa_private(kms_token *token, kms_object key, struct kms_bytes input, uint8_t *out)
{
    struct private_step s = {.key = key, .input = input, .out = out};
    kms_err err = kms_ckr_note(token, "C_Decrypt", kms_session_run(token, private_step, &s));
    if (!kms_failed(err) && s.len != input.len) err = KMS_FAIL(HSM_UNAVAILABLE);
    if (kms_failed(err)) kms_wipe(out, input.len);
    return err;
}
