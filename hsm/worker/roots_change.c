/* Making and destroying generations of root keys, so that a process may die anywhere in between. */
#include "hsm/worker/roots.h"

static kms_err find(kms_token *token, const char *kind, uint32_t n, kms_object *ret_key, struct kms_why *why)
{
    char label[KMS_LABEL_BYTES];
    kms_root_label(kind, n, label);
    kms_err err = kms_token_find(token, label, ret_key);
    if (kms_is(err, KMS_E_CORRUPT))
        kms_why_set(why, "the token holds more than one key with label %s", label);
    else if (kms_failed(err))
        kms_why_set(why, "looking for %s: %s", label, kms_token_trouble(token));
    return err;
}

static kms_err refuse_existing(kms_token *token, struct kms_why *why)
{
    struct kms_labels labels;
    kms_object key = 0;
    KMS_TRY(kms_token_labels(token, &labels));
    for (size_t i = 0; i < labels.count; i++) {
        for (size_t k = 0; k < KMS_ROOT_KINDS; k++) {
            if (kms_root_number(kms_root_kinds[k].kind, labels.text[i]) == 0) continue;
            kms_why_set(why, "the token holds %s already: it is left as it is", labels.text[i]);
            return KMS_FAIL(ROOT_KEYS_EXIST);
        }
    }
    kms_err err = find(token, "audit-sign", 1, &key, why);
    if (kms_failed(err) && !kms_is(err, KMS_E_CORRUPT)) return err;
    if (key == 0 && !kms_failed(err)) return KMS_OK;
    kms_why_set(why, "the token holds audit-sign-1 already: it is left as it is");
    return KMS_FAIL(ROOT_KEYS_EXIST);
}

/* All or nothing, unless the process dies. */
static kms_err make_generation(kms_token *token, uint32_t n, kms_object made[KMS_ROOT_KINDS])
{
    kms_err err = KMS_OK;
    for (size_t i = 0; i < KMS_ROOT_KINDS && !kms_failed(err); i++) {
        char label[KMS_LABEL_BYTES];
        kms_root_label(kms_root_kinds[i].kind, n, label);
        const struct kms_key_shape shape = {.label = label, .use = kms_root_kinds[i].use};
        err = kms_token_generate(token, &shape, &made[i]);
        if (!kms_failed(err)) err = kms_token_check_unreadable(token, made[i]);
    }
    if (!kms_failed(err)) return KMS_OK;
    for (size_t i = KMS_ROOT_KINDS; i-- > 0;) kms_token_destroy(token, made[i]);
    return err;
}

kms_err kms_roots_make(kms_token *token, struct kms_why *why)
{
    kms_object made[KMS_ROOT_KINDS] = {0}, audit_public = 0, audit_private = 0;
    KMS_TRY(refuse_existing(token, why));
    const struct kms_key_shape audit = {.label = "audit-sign-1", .use = KMS_USE_EC_SIGN, .bits = 256};
    kms_err err = kms_token_generate_pair(token, &audit, &audit_public, &audit_private);
    if (!kms_failed(err)) err = make_generation(token, 1, made);
    if (!kms_failed(err)) return KMS_OK;
    kms_why_set(why, "root keys could not be made, the token is as before: %s", kms_token_trouble(token));
    kms_token_destroy(token, audit_public);
    kms_token_destroy(token, audit_private);
    return err;
}

/* In the opposite order of making, each looked for again: the token's word that it is gone. */
static kms_err destroy_all(kms_token *token, uint32_t n)
{
    struct kms_why why = {{0}};
    for (size_t i = KMS_ROOT_KINDS; i-- > 0;) {
        kms_object key = 0;
        KMS_TRY(find(token, kms_root_kinds[i].kind, n, &key, &why));
        if (key == 0) continue;
        kms_token_destroy(token, key);
        KMS_TRY(find(token, kms_root_kinds[i].kind, n, &key, &why));
        if (key != 0) return KMS_FAIL(UNSUPPORTED);
    }
    return KMS_OK;
}

kms_err kms_roots_add(kms_token *token, struct kms_roots *roots, uint32_t root_id)
{
    struct kms_why why = {{0}};
    kms_object made[KMS_ROOT_KINDS] = {0};
    KMS_TRY(kms_roots_load(token, roots, &why));
    if (root_id == roots->newest) return KMS_OK;
    if (root_id != roots->newest + 1 || root_id > KMS_ROOT_LAST) return KMS_FAIL(INVALID_ARGUMENT);
    if (roots->count == KMS_HSM_ROOTS) return KMS_FAIL(LIMIT_EXCEEDED);
    KMS_TRY(destroy_all(token, root_id)); /* what a process that died left of it */
    KMS_TRY(make_generation(token, root_id, made));
    return kms_roots_load(token, roots, &why);
}

kms_err kms_roots_destroy(kms_token *token, struct kms_roots *roots, uint32_t root_id)
{
    struct kms_why why = {{0}};
    KMS_TRY(kms_roots_load(token, roots, &why));
    if (root_id >= roots->newest) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_TRY(destroy_all(token, root_id));
    return kms_roots_load(token, roots, &why);
}
