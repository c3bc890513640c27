/* What this token can really do, by name, for GetStatus and for kmsd init. */
#include "hsm/worker/worker.h"

#include <stdio.h>
#include <string.h>

struct trial {
    kms_token *token;
    kms_object wrapping, extractable;
    uint8_t blob[256];
    size_t blob_len;
};

static kms_err try_gcm(struct trial *t)
{
    return kms_token_self_test(t->token);
}

static kms_err try_hmac(struct trial *t)
{
    const struct kms_key_shape shape = {.use = KMS_USE_MAC};
    kms_object key;
    uint8_t mac[32];
    KMS_TRY(kms_token_generate(t->token, &shape, &key));
    kms_err err = kms_token_hmac(t->token, key, kms_bytes_text("probe"), mac);
    kms_token_destroy(t->token, key);
    return err;
}

static kms_err try_random(struct trial *t)
{
    static const uint8_t zero[32];
    uint8_t data[32] = {0};
    KMS_TRY(kms_token_random(t->token, data, sizeof data));
    return kms_bytes_same(data, zero, sizeof data) ? KMS_FAIL(UNSUPPORTED) : KMS_OK;
}

static kms_err try_wrap(struct trial *t)
{
    const struct kms_key_shape inside = {.use = KMS_USE_CIPHER};
    kms_object key;
    KMS_TRY(kms_token_wrap(t->token, t->wrapping, t->extractable, t->blob, sizeof t->blob, &t->blob_len));
    KMS_TRY(kms_token_unwrap(t->token, t->wrapping, kms_bytes_of(t->blob, t->blob_len), &inside, &key));
    kms_err err = kms_token_check_unreadable(t->token, key);
    kms_token_destroy(t->token, key);
    return err;
}

/* Unwrapping the same blob readable must fail: otherwise wrapping protects nothing from whoever may
 * unwrap. */
static kms_err try_unwrap_template(struct trial *t)
{
    const struct kms_key_shape readable = {.use = KMS_USE_CIPHER, .extractable = true, .readable = true};
    kms_object key;
    if (t->blob_len == 0) return KMS_FAIL(UNSUPPORTED);
    kms_err err =
        kms_token_unwrap(t->token, t->wrapping, kms_bytes_of(t->blob, t->blob_len), &readable, &key);
    if (kms_failed(err)) return KMS_OK;
    kms_token_destroy(t->token, key);
    return KMS_FAIL(UNSUPPORTED);
}

static kms_err try_p256(struct trial *t)
{
    kms_object public_key, private_key;
    uint8_t digest[32] = {1}, signature[64];
    KMS_TRY(kms_token_generate_p256(t->token, NULL, &public_key, &private_key));
    kms_err err = kms_token_sign_p256(t->token, private_key, digest, signature);
    kms_token_destroy(t->token, public_key);
    kms_token_destroy(t->token, private_key);
    return err;
}

static kms_err try_oaep(struct trial *t)
{
    return kms_token_try_oaep_sha256(t->token);
}
static kms_err try_ed25519(struct trial *t)
{
    return kms_token_try_ed25519_wrap(t->token, t->wrapping);
}

static const struct {
    const char *name, *meaning;
    kms_err (*run)(struct trial *t);
} trials[] = {
    {"aes-256-gcm", "encryption in the token", try_gcm},
    {"hmac-sha-256", "bindings of wrapped keys", try_hmac},
    {"random", "random bytes of the token", try_random},
    {"aes-key-wrap-pad", "wrapping of keys", try_wrap},
    {"unwrap-template", "keys can be unwrapped readable", try_unwrap_template},
    {"ec-p-256", "signatures", try_p256},
    {"rsa-oaep-sha-256", "done outside with CKM_RSA_X_509", try_oaep},
    {"ed25519-wrap", "such keys are SOFTWARE level only", try_ed25519},
};

void kms_probe(kms_token *token, kms_object wrapping, struct kms_hsm_status *status)
{
    const struct kms_key_shape wrap_shape = {.use = KMS_USE_WRAP};
    const struct kms_key_shape data_shape = {.use = KMS_USE_CIPHER, .extractable = true};
    struct trial t = {.token = token, .wrapping = wrapping};
    if (wrapping == 0)
        kms_ignore(kms_token_generate(token, &wrap_shape, &t.wrapping)); /* the trials will show it */
    kms_ignore(kms_token_generate(token, &data_shape, &t.extractable));
    for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
        struct kms_hsm_capability *c = &status->capabilities[i];
        kms_err err = trials[i].run(&t);
        *c = (struct kms_hsm_capability){.available = !kms_failed(err)};
        snprintf(c->name, sizeof c->name, "%s", trials[i].name);
        if (kms_failed(err))
            snprintf(c->reason, sizeof c->reason, "%.40s",
                     kms_token_trouble(token)[0] ? kms_token_trouble(token) : trials[i].meaning);
        status->capability_count = (unsigned)i + 1;
    }
    kms_token_destroy(token, t.extractable);
    if (wrapping == 0) kms_token_destroy(token, t.wrapping);
}

bool kms_probe_has(const struct kms_hsm_status *status, const char *name)
{
    for (unsigned i = 0; i < status->capability_count; i++)
        if (strcmp(status->capabilities[i].name, name) == 0) return status->capabilities[i].available;
    return false;
}
