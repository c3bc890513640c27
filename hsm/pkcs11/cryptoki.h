/* What the files of this folder share: the module, the sessions, the translation of CK_RV. */
#ifndef KMS_HSM_PKCS11_CRYPTOKI_H
#define KMS_HSM_PKCS11_CRYPTOKI_H

#include <p11-kit/pkcs11.h>
#include <string.h>

#include "hsm/pkcs11/token.h"
#include "hsm/pkcs11/uri.h"

/* PKCS#11 2.40; p11-kit's header names CKM_AES_KEY_WRAP_PAD too, spelled here once with its number in
 * view. */
enum { KMS_CKM_AES_KEY_WRAP_PAD = 0x210A };

/* Cryptoki takes pointers to what it only reads without const. */
static inline CK_BYTE *kms_unconst(const uint8_t *p)
{
    CK_BYTE *q;
    memcpy(&q, &p, sizeof q);
    return q;
}

struct kms_token {
    CK_FUNCTION_LIST *fn;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE pinned, work; /* CK_INVALID_HANDLE: not open */
    kms_object self_test_key;
    char label[33], serial[17];
    char trouble[96];
};

/* ckr.c */
const char *kms_ckr_name(CK_RV rv); /* "CKR_PIN_INCORRECT"; static; "an unknown CK_RV" */
kms_err kms_ckr_err(CK_RV rv);
/* Notes what went wrong for kms_token_trouble and translates. */
KMS_MUST_USE kms_err kms_ckr_note(kms_token *token, const char *call, CK_RV rv);

/* module.c: the module is initialised for the life of the process. MODULE_UNAVAILABLE. */
KMS_MUST_USE kms_err kms_module_load(const char *path, CK_FUNCTION_LIST **ret_fn, struct kms_why *why);
/* Finalises and initialises it: what it knows of its tokens is read again. No session may be open. */
KMS_MUST_USE kms_err kms_module_again(const char *path, CK_FUNCTION_LIST *fn, struct kms_why *why);
/* Several processes that start on one SoftHSM token at once see CKR_GENERAL_ERROR: waits a little, longer
 * each time and not in step with the others. False: tried often enough. */
bool kms_start_again(CK_RV rv, unsigned *tries);

/* slot.c: TOKEN_NOT_FOUND. */
KMS_MUST_USE kms_err kms_slot_find(kms_token *token, const struct kms_p11_uri *uri, struct kms_why *why);
/* A text of CK_TOKEN_INFO without the blanks that pad it; text has room for len + 1 bytes. */
void kms_take_padded(const CK_UTF8CHAR *padded, size_t len, char *text);
/* login.c */
KMS_MUST_USE kms_err kms_login(kms_token *token, const char *pin_path, const struct kms_pin_mark *refused,
                               struct kms_pin_mark *ret_refused, struct kms_why *why);
/* session.c */
CK_RV kms_session_open(kms_token *token, CK_SESSION_HANDLE *ret_session);
typedef CK_RV (*kms_session_step)(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, void *arg);
/* Runs step on the work session; after an error that bad data does not explain, once more on a fresh one. */
CK_RV kms_session_run(kms_token *token, kms_session_step step, void *arg);
/* object.c: the attributes of a secret or private key to generate or unwrap; room for
 * KMS_SHAPE_ATTRIBUTES. */
enum { KMS_SHAPE_ATTRIBUTES = 20 };
CK_ULONG kms_shape_template(const struct kms_key_shape *shape, bool generate, CK_ATTRIBUTE *attributes);

#endif
