/* CKM_AES_KEY_WRAP_PAD (RFC 5649): keys out of the token and back in, and a key that lets others in. */
#include "hsm/pkcs11/cryptoki.h"

struct wrap_step {
    CK_OBJECT_HANDLE wrapping, key;
    CK_BYTE *blob;
    CK_ULONG len;
};

static CK_RV wrap_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct wrap_step *s = arg;
    CK_ULONG len = s->len;
    CK_MECHANISM mechanism = {KMS_CKM_AES_KEY_WRAP_PAD, NULL, 0};
    CK_RV rv = fn->C_WrapKey(session, &mechanism, s->wrapping, s->key, s->blob, &len);
    if (rv == CKR_OK) s->len = len;
    return rv;
}

kms_err kms_token_wrap(kms_token *token, kms_object wrapping, kms_object key, uint8_t *blob, size_t cap,
                       size_t *ret_len)
{
    struct wrap_step s = {.wrapping = wrapping, .key = key, .blob = blob, .len = cap};
    KMS_TRY(kms_ckr_note(token, "C_WrapKey", kms_session_run(token, wrap_step, &s)));
    *ret_len = s.len;
    return KMS_OK;
}

kms_err kms_token_unwrap(kms_token *token, kms_object wrapping, struct kms_bytes blob,
                         const struct kms_key_shape *shape, kms_object *ret_key)
{
    CK_ATTRIBUTE attributes[KMS_SHAPE_ATTRIBUTES];
    CK_ULONG count = kms_shape_template(shape, false, attributes);
    CK_MECHANISM mechanism = {KMS_CKM_AES_KEY_WRAP_PAD, NULL, 0};
    CK_OBJECT_HANDLE key;
    CK_RV rv = token->fn->C_UnwrapKey(token->pinned, &mechanism, wrapping, kms_unconst(blob.ptr), blob.len,
                                      attributes, count, &key);
    KMS_TRY(kms_ckr_note(token, "C_UnwrapKey", rv));
    *ret_key = key;
    return KMS_OK;
}

kms_err kms_token_put_unwrapping(kms_token *token, const uint8_t *value, kms_object *ret_key)
{
    enum { AES_256_BYTES = 32 };
    const struct kms_key_shape shape = {.use = KMS_USE_UNWRAP};
    CK_ATTRIBUTE attributes[KMS_SHAPE_ATTRIBUTES];
    CK_ULONG count = kms_shape_template(&shape, false, attributes);
    attributes[count++] = (CK_ATTRIBUTE){CKA_VALUE, kms_unconst(value), AES_256_BYTES};
    CK_OBJECT_HANDLE key;
    CK_RV rv = token->fn->C_CreateObject(token->pinned, attributes, count, &key);
    KMS_TRY(kms_ckr_note(token, "C_CreateObject", rv));
    *ret_key = key;
    return KMS_OK;
}
