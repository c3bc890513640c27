/* CK_RV to kms_err, and to its name for the person who reads why. */
#include <stdio.h>

#include "hsm/pkcs11/cryptoki.h"

#define CKR(name, error)                                                                                     \
    {                                                                                                        \
        name, #name,                                                                                         \
        {                                                                                                    \
            KMS_E_##error                                                                                    \
        }                                                                                                    \
    }

static const struct {
    CK_RV rv;
    const char *name;
    kms_err err;
} table[] = {
    CKR(CKR_OK, OK),
    CKR(CKR_HOST_MEMORY, NO_MEMORY),
    CKR(CKR_SLOT_ID_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_GENERAL_ERROR, HSM_UNAVAILABLE),
    CKR(CKR_FUNCTION_FAILED, HSM_UNAVAILABLE),
    CKR(CKR_ARGUMENTS_BAD, UNSUPPORTED),
    CKR(CKR_ATTRIBUTE_READ_ONLY, UNSUPPORTED),
    CKR(CKR_ATTRIBUTE_SENSITIVE, UNSUPPORTED),
    CKR(CKR_ATTRIBUTE_TYPE_INVALID, UNSUPPORTED),
    CKR(CKR_ATTRIBUTE_VALUE_INVALID, UNSUPPORTED),
    CKR(CKR_DATA_LEN_RANGE, UNSUPPORTED),
    CKR(CKR_DEVICE_ERROR, HSM_UNAVAILABLE),
    CKR(CKR_DEVICE_MEMORY, HSM_UNAVAILABLE),
    CKR(CKR_DEVICE_REMOVED, HSM_UNAVAILABLE),
    CKR(CKR_ENCRYPTED_DATA_INVALID, INVALID_CIPHERTEXT),
    CKR(CKR_ENCRYPTED_DATA_LEN_RANGE, INVALID_CIPHERTEXT),
    CKR(CKR_FUNCTION_NOT_SUPPORTED, UNSUPPORTED),
    CKR(CKR_KEY_HANDLE_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_KEY_SIZE_RANGE, UNSUPPORTED),
    CKR(CKR_KEY_TYPE_INCONSISTENT, UNSUPPORTED),
    CKR(CKR_KEY_FUNCTION_NOT_PERMITTED, UNSUPPORTED),
    CKR(CKR_KEY_NOT_WRAPPABLE, UNSUPPORTED),
    CKR(CKR_KEY_UNEXTRACTABLE, UNSUPPORTED),
    CKR(CKR_MECHANISM_INVALID, UNSUPPORTED),
    CKR(CKR_MECHANISM_PARAM_INVALID, UNSUPPORTED),
    CKR(CKR_OBJECT_HANDLE_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_OPERATION_ACTIVE, HSM_UNAVAILABLE),
    CKR(CKR_OPERATION_NOT_INITIALIZED, HSM_UNAVAILABLE),
    CKR(CKR_PIN_INCORRECT, PIN_REFUSED),
    CKR(CKR_PIN_INVALID, PIN_REFUSED),
    CKR(CKR_PIN_LEN_RANGE, PIN_REFUSED),
    CKR(CKR_PIN_EXPIRED, PIN_REFUSED),
    CKR(CKR_PIN_LOCKED, PIN_REFUSED),
    CKR(CKR_SESSION_CLOSED, HSM_UNAVAILABLE),
    CKR(CKR_SESSION_COUNT, HSM_UNAVAILABLE),
    CKR(CKR_SESSION_HANDLE_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_SESSION_READ_ONLY, UNSUPPORTED),
    CKR(CKR_SIGNATURE_INVALID, CORRUPT),
    CKR(CKR_TEMPLATE_INCOMPLETE, UNSUPPORTED),
    CKR(CKR_TEMPLATE_INCONSISTENT, UNSUPPORTED),
    CKR(CKR_TOKEN_NOT_PRESENT, HSM_UNAVAILABLE),
    CKR(CKR_TOKEN_NOT_RECOGNIZED, HSM_UNAVAILABLE),
    CKR(CKR_TOKEN_WRITE_PROTECTED, UNSUPPORTED),
    CKR(CKR_USER_NOT_LOGGED_IN, HSM_UNAVAILABLE),
    CKR(CKR_USER_PIN_NOT_INITIALIZED, PIN_REFUSED),
    CKR(CKR_WRAPPED_KEY_INVALID, CORRUPT),
    CKR(CKR_WRAPPED_KEY_LEN_RANGE, CORRUPT),
    CKR(CKR_WRAPPING_KEY_HANDLE_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_UNWRAPPING_KEY_HANDLE_INVALID, HSM_UNAVAILABLE),
    CKR(CKR_BUFFER_TOO_SMALL, HSM_UNAVAILABLE),
    CKR(CKR_CRYPTOKI_NOT_INITIALIZED, HSM_UNAVAILABLE),
};

enum { ROWS = sizeof table / sizeof table[0] };

static size_t row_of(CK_RV rv)
{
    size_t i = 0;
    while (i < ROWS && table[i].rv != rv) i++;
    return i;
}

const char *kms_ckr_name(CK_RV rv)
{
    size_t i = row_of(rv);
    return i < ROWS ? table[i].name : "an unknown CK_RV";
}

kms_err kms_ckr_err(CK_RV rv)
{
    size_t i = row_of(rv);
    return i < ROWS ? table[i].err : KMS_FAIL(HSM_UNAVAILABLE);
}

kms_err kms_ckr_note(kms_token *token, const char *call, CK_RV rv)
{
    token->trouble[0] = '\0';
    if (rv == CKR_OK) return KMS_OK;
    snprintf(token->trouble, sizeof token->trouble, "%s: %s (0x%lx)", call, kms_ckr_name(rv), rv);
    return kms_ckr_err(rv);
}

const char *kms_token_trouble(const kms_token *token)
{
    return token->trouble;
}
