/* Signatures over heads of the audit log, by a key of their own that signs nothing else. */
#include "hsm/worker/worker.h"

static const char label[] = "audit-sign-1";

static kms_err read_public(kms_token *token, kms_object key, struct kms_hsm_status *status)
{
    struct kms_public_parts parts;
    KMS_OWN_PAIR pair = NULL;
    uint8_t der[KMS_HSM_PUBLIC_BYTES];
    size_t len;
    KMS_TRY(kms_token_public_parts(token, key, KMS_USE_EC_SIGN, &parts));
    KMS_TRY(kms_pair_from_parts(KMS_SPEC_EC_P256, &parts, &pair));
    KMS_TRY(kms_pair_public_der(pair, der, &len));
    if (len > sizeof status->audit_key) return KMS_FAIL(UNSUPPORTED);
    kms_copy(status->audit_key, der, len);
    status->audit_key_len = len;
    return KMS_OK;
}

kms_err kms_audit_key_load(struct kms_worker *w, struct kms_why *why)
{
    kms_object private_half = 0, public_half = 0;
    kms_err err = kms_token_find(w->token, label, &private_half);
    if (!kms_failed(err)) err = kms_token_find_public(w->token, label, &public_half);
    if (!kms_failed(err) && (private_half == 0 || public_half == 0)) return KMS_OK;
    if (!kms_failed(err)) err = read_public(w->token, public_half, &w->hello.status);
    if (!kms_failed(err)) err = kms_token_check_unreadable(w->token, private_half);
    if (kms_failed(err))
        kms_why_set(why, "%s: %s", label,
                    kms_is(err, KMS_E_CORRUPT)       ? "there are several of that label"
                    : kms_is(err, KMS_E_UNSUPPORTED) ? "no such key as kmsd init makes"
                                                     : kms_token_trouble(w->token));
    else
        w->audit_key = private_half;
    return err;
}

kms_err kms_op_audit_sign(struct kms_worker *w, struct kms_hsm_job *job)
{
    static const char domain[] = KMS_HSM_AUDIT_DOMAIN;
    uint8_t text[sizeof domain + KMS_HSM_AUDIT_HEAD_BYTES], digest[KMS_DIGEST_BYTES], raw[64];
    unsigned len;
    if (w->audit_key == 0) return KMS_FAIL(ROOT_KEYS_MISSING);
    kms_copy(text, domain, sizeof domain - 1);
    kms_copy(text + sizeof domain - 1, job->input.ptr, job->input.len);
    if (EVP_Digest(text, sizeof domain - 1 + job->input.len, digest, &len, EVP_sha256(), NULL) != 1)
        return KMS_FAIL(INTERNAL);
    const struct kms_signing signing = {.key = w->audit_key,
                                        .how = KMS_SIGNING_ECDSA,
                                        .hash = 256,
                                        .input = kms_bytes_of(digest, sizeof digest)};
    KMS_TRY(kms_token_sign(w->token, &signing, raw, sizeof raw));
    return kms_ecdsa_der(kms_bytes_of(raw, sizeof raw), job);
}
