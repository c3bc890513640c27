/* Which slot holds the token: by label and serial, never by slot id, which SoftHSM changes at
 * initialisation. */
#include <string.h>

#include "hsm/pkcs11/cryptoki.h"

enum { SLOTS = 256 };

static bool same_padded(const CK_UTF8CHAR *padded, size_t len, const char *text)
{
    while (len > 0 && padded[len - 1] == ' ') len--;
    return text[0] == '\0' || (strlen(text) == len && strncmp((const char *)padded, text, len) == 0);
}

void kms_take_padded(const CK_UTF8CHAR *padded, size_t len, char *text)
{
    while (len > 0 && padded[len - 1] == ' ') len--;
    kms_copy(text, padded, len);
    text[len] = '\0';
}

static CK_RV token_info(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    unsigned tries = 0;
    CK_RV rv;
    do {
        rv = fn->C_GetTokenInfo(slot, info);
    } while (kms_start_again(rv, &tries));
    return rv;
}

kms_err kms_slot_find(kms_token *token, const struct kms_p11_uri *uri, struct kms_why *why)
{
    CK_SLOT_ID slots[SLOTS];
    CK_ULONG count = SLOTS;
    unsigned found = 0;
    CK_RV rv = token->fn->C_GetSlotList(CK_TRUE, slots, &count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
        CK_TOKEN_INFO info;
        if (token_info(token->fn, slots[i], &info) != CKR_OK) continue; /* another slot's trouble */
        if (!(info.flags & CKF_TOKEN_INITIALIZED) ||
            !same_padded(info.label, sizeof info.label, uri->token) ||
            !same_padded(info.serialNumber, sizeof info.serialNumber, uri->serial))
            continue;
        found++;
        token->slot = slots[i];
        kms_take_padded(info.label, sizeof info.label, token->label);
        kms_take_padded(info.serialNumber, sizeof info.serialNumber, token->serial);
    }
    if (rv == CKR_OK && found == 1) return KMS_OK;
    if (rv != CKR_OK)
        kms_why_set(why, "%s: C_GetSlotList: %s", uri->module_path, kms_ckr_name(rv));
    else
        kms_why_set(why,
                    "%s token with label '%s' and serial '%s' behind %s; see softhsm2-util --show-slots%s",
                    found == 0 ? "no" : "more than one", uri->token, uri->serial[0] ? uri->serial : "any",
                    uri->module_path, found == 0 ? "" : " and name the serial too");
    return KMS_FAIL(TOKEN_NOT_FOUND);
}
