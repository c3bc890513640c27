/* What a token may or may not do, tried with throw-away keys. */
#include <string.h>

#include "hsm/pkcs11/cryptoki.h"

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

struct oaep_step {
    CK_OBJECT_HANDLE key;
};

static CK_RV oaep_step(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg)
{
    struct oaep_step *s = arg;
    CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    CK_BYTE message[32] = {0}, out[256];
    CK_ULONG len = sizeof out;
    CK_RV rv = fn->C_EncryptInit(session, &mechanism, s->key);
    return rv != CKR_OK ? rv : fn->C_Encrypt(session, message, sizeof message, out, &len);
}

kms_err kms_token_try_oaep_sha256(kms_token *token)
{
    /* Any odd 2048-bit number serves to see whether the token takes the parameters: nobody will decrypt
     * this. */
    CK_BYTE modulus[256], exponent[] = {1, 0, 1};
    memset(modulus, 0xb5, sizeof modulus);
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_TOKEN, &no, sizeof no},       {CKA_ENCRYPT, &yes, sizeof yes},
        {CKA_MODULUS, modulus, 256},       {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent}};
    struct oaep_step s;
    CK_RV rv = token->fn->C_CreateObject(token->pinned, attributes, sizeof attributes / sizeof attributes[0],
                                         &s.key);
    KMS_TRY(kms_ckr_note(token, "C_CreateObject", rv));
    kms_err err = kms_ckr_note(token, "C_Encrypt", kms_session_run(token, oaep_step, &s));
    kms_token_destroy(token, s.key);
    return err;
}

kms_err kms_token_try_ed25519_wrap(kms_token *token, kms_object wrapping)
{
    static CK_BYTE edwards25519[] = {0x13, 0x0c, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'};
    CK_ATTRIBUTE public_half[] = {{CKA_EC_PARAMS, edwards25519, sizeof edwards25519},
                                  {CKA_TOKEN, &no, sizeof no}};
    CK_ATTRIBUTE private_half[] = {{CKA_TOKEN, &no, sizeof no},
                                   {CKA_PRIVATE, &yes, sizeof yes},
                                   {CKA_SENSITIVE, &yes, sizeof yes},
                                   {CKA_EXTRACTABLE, &yes, sizeof yes},
                                   {CKA_SIGN, &yes, sizeof yes}};
    CK_MECHANISM mechanism = {0x1055, NULL, 0}; /* CKM_EC_EDWARDS_KEY_PAIR_GEN, PKCS#11 3.0 */
    CK_OBJECT_HANDLE public_key, private_key;
    CK_RV rv = token->fn->C_GenerateKeyPair(token->pinned, &mechanism, public_half, 2, private_half, 5,
                                            &public_key, &private_key);
    KMS_TRY(kms_ckr_note(token, "C_GenerateKeyPair", rv));
    uint8_t blob[256];
    size_t len;
    kms_err err = kms_token_wrap(token, wrapping, private_key, blob, sizeof blob, &len);
    kms_token_destroy(token, public_key);
    kms_token_destroy(token, private_key);
    return err;
}
