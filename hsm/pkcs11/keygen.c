/* Making keys, always on the pinned session. */
#include <string.h>

#include "hsm/pkcs11/cryptoki.h"

kms_err kms_token_generate(kms_token *token, const struct kms_key_shape *shape, kms_object *ret_key)
{
    CK_ATTRIBUTE attributes[KMS_SHAPE_ATTRIBUTES];
    CK_ULONG count = kms_shape_template(shape, true, attributes);
    CK_MECHANISM mechanism = {shape->use == KMS_USE_MAC ? CKM_GENERIC_SECRET_KEY_GEN : CKM_AES_KEY_GEN, NULL,
                              0};
    CK_OBJECT_HANDLE key;
    CK_RV rv = token->fn->C_GenerateKey(token->pinned, &mechanism, attributes, count, &key);
    KMS_TRY(kms_ckr_note(token, "C_GenerateKey", rv));
    *ret_key = key;
    return KMS_OK;
}

kms_err kms_token_generate_p256(kms_token *token, const char *label, kms_object *ret_public,
                                kms_object *ret_private)
{
    static CK_BYTE prime256v1[] = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07}; /* RFC 5480, DER */
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE, on_token = label != NULL ? CK_TRUE : CK_FALSE;
    char name[33] = "";
    if (label != NULL) strncpy(name, label, sizeof name - 1);
    CK_ATTRIBUTE public_half[] = {{CKA_EC_PARAMS, prime256v1, sizeof prime256v1},
                                  {CKA_TOKEN, &on_token, sizeof on_token},
                                  {CKA_VERIFY, &yes, sizeof yes},
                                  {CKA_LABEL, name, strlen(name)}};
    CK_ATTRIBUTE private_half[] = {{CKA_TOKEN, &on_token, sizeof on_token},
                                   {CKA_PRIVATE, &yes, sizeof yes},
                                   {CKA_SENSITIVE, &yes, sizeof yes},
                                   {CKA_EXTRACTABLE, &no, sizeof no},
                                   {CKA_SIGN, &yes, sizeof yes},
                                   {CKA_DECRYPT, &no, sizeof no},
                                   {CKA_UNWRAP, &no, sizeof no},
                                   {CKA_DERIVE, &no, sizeof no},
                                   {CKA_LABEL, name, strlen(name)}};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_key, private_key;
    CK_RV rv = token->fn->C_GenerateKeyPair(
        token->pinned, &mechanism, public_half, sizeof public_half / sizeof public_half[0], private_half,
        sizeof private_half / sizeof private_half[0], &public_key, &private_key);
    KMS_TRY(kms_ckr_note(token, "C_GenerateKeyPair", rv));
    *ret_public = public_key;
    *ret_private = private_key;
    return KMS_OK;
}
