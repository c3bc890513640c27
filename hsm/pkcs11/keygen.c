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

/* Names of curves in DER (RFC 5480). */
static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static CK_BYTE p384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
static CK_BYTE p521[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23};

static CK_ATTRIBUTE curve_of(unsigned bits)
{
    if (bits == 256) return (CK_ATTRIBUTE){CKA_EC_PARAMS, p256, sizeof p256};
    if (bits == 384) return (CK_ATTRIBUTE){CKA_EC_PARAMS, p384, sizeof p384};
    return (CK_ATTRIBUTE){CKA_EC_PARAMS, p521, sizeof p521};
}

kms_err kms_token_generate_pair(kms_token *token, const struct kms_key_shape *shape, kms_object *ret_public,
                                kms_object *ret_private)
{
    static CK_BYTE exponent[] = {1, 0, 1};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE, on_token = shape->label != NULL ? CK_TRUE : CK_FALSE;
    bool rsa = shape->use != KMS_USE_EC_SIGN, decrypts = shape->use == KMS_USE_RSA_DECRYPT;
    CK_ULONG bits = shape->bits, count = 0;
    CK_ATTRIBUTE public_half[8], private_half[KMS_SHAPE_ATTRIBUTES];
    public_half[count++] = (CK_ATTRIBUTE){CKA_TOKEN, &on_token, sizeof on_token};
    public_half[count++] = (CK_ATTRIBUTE){CKA_VERIFY, decrypts ? &no : &yes, sizeof yes};
    public_half[count++] = (CK_ATTRIBUTE){CKA_ENCRYPT, decrypts ? &yes : &no, sizeof yes};
    if (rsa) public_half[count++] = (CK_ATTRIBUTE){CKA_MODULUS_BITS, &bits, sizeof bits};
    if (rsa) public_half[count++] = (CK_ATTRIBUTE){CKA_PUBLIC_EXPONENT, exponent, sizeof exponent};
    if (!rsa) public_half[count++] = curve_of(shape->bits);
    if (shape->label != NULL)
        public_half[count++] =
            (CK_ATTRIBUTE){CKA_LABEL, kms_unconst((const uint8_t *)shape->label), strlen(shape->label)};
    CK_ULONG private_count = kms_shape_template(shape, true, private_half);
    CK_MECHANISM mechanism = {rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_key, private_key;
    CK_RV rv = token->fn->C_GenerateKeyPair(token->pinned, &mechanism, public_half, count, private_half,
                                            private_count, &public_key, &private_key);
    KMS_TRY(kms_ckr_note(token, "C_GenerateKeyPair", rv));
    *ret_public = public_key;
    *ret_private = private_key;
    return KMS_OK;
}

static kms_err rsa_parts(kms_token *token, kms_object key, struct kms_public_parts *parts)
{
    CK_ATTRIBUTE read[] = {{CKA_MODULUS, parts->modulus, sizeof parts->modulus},
                           {CKA_PUBLIC_EXPONENT, parts->exponent, sizeof parts->exponent}};
    CK_RV rv = token->fn->C_GetAttributeValue(token->pinned, key, read, 2);
    KMS_TRY(kms_ckr_note(token, "C_GetAttributeValue", rv));
    parts->modulus_len = read[0].ulValueLen;
    parts->exponent_len = read[1].ulValueLen;
    return KMS_OK;
}

/* CKA_EC_POINT is the point inside a DER OCTET STRING (PKCS#11 2.40, 2.3.3); some modules leave that away. */
static kms_err ec_parts(kms_token *token, kms_object key, struct kms_public_parts *parts)
{
    uint8_t point[3 + sizeof parts->point];
    CK_ATTRIBUTE read = {CKA_EC_POINT, point, sizeof point};
    KMS_TRY(kms_ckr_note(token, "C_GetAttributeValue",
                         token->fn->C_GetAttributeValue(token->pinned, key, &read, 1)));
    size_t len = read.ulValueLen, head = 0;
    if (len > 2 && point[0] == 0x04 && point[1] == len - 2) head = 2;
    if (len > 3 && point[0] == 0x04 && point[1] == 0x81 && point[2] == len - 3) head = 3;
    if (len - head > sizeof parts->point) return KMS_FAIL(UNSUPPORTED);
    parts->point_len = len - head;
    kms_copy(parts->point, point + head, parts->point_len);
    return KMS_OK;
}

kms_err kms_token_public_parts(kms_token *token, kms_object public_key, enum kms_key_use use,
                               struct kms_public_parts *ret_parts)
{
    *ret_parts = (struct kms_public_parts){.modulus_len = 0};
    return use == KMS_USE_EC_SIGN ? ec_parts(token, public_key, ret_parts)
                                  : rsa_parts(token, public_key, ret_parts);
}
