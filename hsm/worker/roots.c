/* Root keys on the token: names, finding, and making the first generation. */
#include <stdio.h>

#include "hsm/worker/worker.h"

enum { LABEL_BYTES = 32 };

static void label_of(const char *kind, uint32_t n, char label[LABEL_BYTES])
{
    snprintf(label, LABEL_BYTES, "%s-%u", kind, n);
}

static kms_err find(kms_token *token, const char *kind, uint32_t n, kms_object *ret_key, struct kms_why *why)
{
    char label[LABEL_BYTES];
    label_of(kind, n, label);
    kms_err err = kms_token_find(token, label, ret_key);
    if (kms_is(err, KMS_E_CORRUPT))
        kms_why_set(why, "the token holds more than one key with label %s", label);
    else if (kms_failed(err))
        kms_why_set(why, "looking for %s: %s", label, kms_token_trouble(token));
    return err;
}

/* Someone may have put keys of these names there by other means. */
static kms_err check_kept(kms_token *token, uint32_t n, const struct kms_root *root, struct kms_why *why)
{
    const kms_object keys[] = {root->wrap, root->seal, root->bind};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (!kms_failed(kms_token_check_unreadable(token, keys[i]))) continue;
        kms_why_set(why, "a root key of generation %u can be read or extracted: kmsd init never makes it so",
                    n);
        return KMS_FAIL(CORRUPT);
    }
    return KMS_OK;
}

static kms_err load_generation(kms_token *token, uint32_t n, struct kms_root *root, struct kms_why *why)
{
    struct kms_root r = {0};
    KMS_TRY(find(token, "root-wrap", n, &r.wrap, why));
    KMS_TRY(find(token, "root-seal", n, &r.seal, why));
    KMS_TRY(find(token, "root-bind", n, &r.bind, why));
    int found = (r.wrap != 0) + (r.seal != 0) + (r.bind != 0);
    if (found == 3) KMS_TRY(check_kept(token, n, &r, why));
    if (found == 3 || found == 0) {
        *root = r;
        return KMS_OK;
    }
    kms_why_set(why,
                "generation %u of the root keys is not complete: root-wrap %s, root-seal %s, root-bind %s", n,
                r.wrap ? "there" : "missing", r.seal ? "there" : "missing", r.bind ? "there" : "missing");
    return KMS_FAIL(CORRUPT);
}

kms_err kms_roots_load(kms_token *token, struct kms_roots *ret_roots, struct kms_why *why)
{
    struct kms_roots roots = {0};
    unsigned absent = 0; /* old generations may have been destroyed; two missing in a row end the search */
    for (uint32_t n = 1; n <= KMS_ROOTS && (roots.newest == 0 ? n <= 2 : absent < 2); n++) {
        KMS_TRY(load_generation(token, n, &roots.generations[n - 1], why));
        absent = roots.generations[n - 1].wrap != 0 ? 0 : absent + 1;
        if (absent == 0) roots.newest = n;
    }
    if (roots.newest == 0) {
        kms_why_set(why, "the token holds no root keys: run kmsd init");
        return KMS_FAIL(ROOT_KEYS_MISSING);
    }
    *ret_roots = roots;
    return KMS_OK;
}

const struct kms_root *kms_roots_get(const struct kms_roots *roots, uint32_t root_id)
{
    if (root_id == 0 || root_id > KMS_ROOTS || roots->generations[root_id - 1].wrap == 0) return NULL;
    return &roots->generations[root_id - 1];
}

static const struct {
    const char *kind, *label;
    enum kms_key_use use;
} root_kinds[] = {
    {"root-wrap", "root-wrap-1", KMS_USE_WRAP},
    {"root-seal", "root-seal-1", KMS_USE_CIPHER},
    {"root-bind", "root-bind-1", KMS_USE_MAC},
};
enum { KINDS = sizeof root_kinds / sizeof root_kinds[0] };

static kms_err refuse_existing(kms_token *token, struct kms_why *why)
{
    static const char *const kinds[] = {"root-wrap", "root-seal", "root-bind", "audit-sign"};
    for (uint32_t n = 1; n <= KMS_ROOTS; n++) {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            kms_object key = 0;
            kms_err err = find(token, kinds[i], n, &key, why);
            if (kms_failed(err) && !kms_is(err, KMS_E_CORRUPT)) return err;
            if (key == 0 && !kms_failed(err)) continue;
            kms_why_set(why, "the token holds %s-%u already: it is left as it is", kinds[i], n);
            return KMS_FAIL(ROOT_KEYS_EXIST);
        }
    }
    return KMS_OK;
}

kms_err kms_roots_make(kms_token *token, struct kms_why *why)
{
    kms_object made[KINDS + 2] = {0};
    KMS_TRY(refuse_existing(token, why));
    kms_err err = KMS_OK;
    for (size_t i = 0; i < KINDS && !kms_failed(err); i++) {
        const struct kms_key_shape shape = {.label = root_kinds[i].label, .use = root_kinds[i].use};
        err = kms_token_generate(token, &shape, &made[i]);
        if (!kms_failed(err)) err = kms_token_check_unreadable(token, made[i]);
    }
    if (!kms_failed(err))
        err = kms_token_generate_p256(token, "audit-sign-1", &made[KINDS], &made[KINDS + 1]);
    if (!kms_failed(err)) return KMS_OK;
    kms_why_set(why, "root keys could not be made, the token is as before: %s", kms_token_trouble(token));
    for (size_t i = 0; i < KINDS + 2; i++) kms_token_destroy(token, made[i]); /* all or nothing */
    return err;
}
