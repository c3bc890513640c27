/* The two sessions of a token, and opening it from module to login. */
#include <stdlib.h>
#include <time.h>

#include "hsm/pkcs11/cryptoki.h"

CK_RV kms_session_open(kms_token *token, CK_SESSION_HANDLE *ret_session)
{
    return token->fn->C_OpenSession(token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                    ret_session);
}

static CK_RV reopen(kms_token *token)
{
    if (token->work != CK_INVALID_HANDLE)
        token->fn->C_CloseSession(token->work); /* gone or not: a new one comes */
    token->work = CK_INVALID_HANDLE;
    return kms_session_open(token, &token->work);
}

/* What the data alone can cause, in a token that says so plainly. */
static bool explained_by_data(CK_RV rv)
{
    return rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE ||
           rv == CKR_SIGNATURE_INVALID;
}

CK_RV kms_session_run(kms_token *token, kms_session_step step, void *arg)
{
    CK_RV rv = token->work != CK_INVALID_HANDLE ? step(token->fn, token->work, arg) : CKR_SESSION_CLOSED;
    if (rv == CKR_OK || explained_by_data(rv)) return rv;
    if (reopen(token) != CKR_OK) return rv;
    CK_RV again = step(token->fn, token->work, arg);
    if (again != CKR_OK)
        reopen(token); /* the operation may be active still; a failure shows at the next call */
    return again;
}

static kms_err open_sessions(kms_token *token, const struct kms_p11_uri *uri,
                             const struct kms_pin_mark *refused, struct kms_pin_mark *ret_refused,
                             struct kms_why *why)
{
    kms_err err = kms_ckr_note(token, "C_OpenSession", kms_session_open(token, &token->pinned));
    if (!kms_failed(err)) {
        KMS_TRY(kms_login(token, uri->pin_path, refused, ret_refused, why));
        err = kms_ckr_note(token, "C_OpenSession", kms_session_open(token, &token->work));
    }
    if (!kms_failed(err)) {
        const struct kms_key_shape shape = {.use = KMS_USE_CIPHER};
        err = kms_token_generate(token, &shape, &token->self_test_key);
    }
    if (kms_failed(err)) kms_why_set(why, "token '%s': %s", token->label, token->trouble);
    return err;
}

/* Another process that starts or was killed a moment ago may hold the token's files: SoftHSM then shows
 * no token, until the module is initialised anew. */
static kms_err find_slot(kms_token *token, const struct kms_p11_uri *uri, struct kms_why *why)
{
    enum { LOOKS = 4, FIRST_PAUSE_MS = 100 };
    for (unsigned look = 1;; look++) {
        kms_err err = kms_slot_find(token, uri, why);
        if (!kms_is(err, KMS_E_TOKEN_NOT_FOUND) || look == LOOKS) return err;
        struct timespec pause = {.tv_nsec = (FIRST_PAUSE_MS << (look - 1)) * 1000000L};
        nanosleep(&pause, NULL);
        KMS_TRY(kms_module_again(uri->module_path, token->fn, why));
    }
}

kms_err kms_token_open(const char *uri_text, const struct kms_pin_mark *refused, kms_token **ret_token,
                       struct kms_pin_mark *ret_refused, struct kms_why *why)
{
    struct kms_p11_uri uri;
    KMS_TRY(kms_p11_uri_parse(uri_text, &uri, why));
    KMS_OWN(kms_token) token = calloc(1, sizeof *token);
    if (token == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_module_load(uri.module_path, &token->fn, why));
    KMS_TRY(find_slot(token, &uri, why));
    KMS_TRY(open_sessions(token, &uri, refused, ret_refused, why));
    *ret_token = KMS_GIVE(token);
    return KMS_OK;
}

void kms_token_free(kms_token *token)
{
    if (token == NULL) return;
    if (token->work != CK_INVALID_HANDLE) token->fn->C_CloseSession(token->work);
    if (token->pinned != CK_INVALID_HANDLE) token->fn->C_CloseSession(token->pinned);
    free(token);
}

void kms_token_drop(kms_token **token)
{
    kms_token_free(*token);
}

void kms_token_names(const kms_token *token, char ret_label[33], char ret_serial[17])
{
    kms_copy(ret_label, token->label, sizeof token->label);
    kms_copy(ret_serial, token->serial, sizeof token->serial);
}
