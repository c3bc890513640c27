/* What this token can really do, by name, for GetStatus and for kmsd init. */
#include "hsm/worker/worker.h"

#include <stdio.h>
#include <string.h>

struct trial {
    kms_token *token;
    kms_object wrapping, extractable;
    uint8_t blob[256];
    size_t blob_len;
    uint8_t rsa_blob[KMS_HSM_PRIVATE_BYTES]; /* a wrapped private key, made at the first need */
    size_t rsa_len, rsa_bytes;               /* of the blob; of the modulus */
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
    kms_err err = kms_token_hmac(t->token, key, 256, kms_bytes_text("probe"), mac);
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
    const struct kms_key_shape shape = {.use = KMS_USE_EC_SIGN, .bits = 256};
    kms_object public_key, private_key;
    uint8_t digest[32] = {1}, signature[64];
    KMS_TRY(kms_token_generate_pair(t->token, &shape, &public_key, &private_key));
    const struct kms_signing signing = {private_key, KMS_SIGNING_ECDSA, 256, {digest, sizeof digest}};
    kms_err err = kms_token_sign(t->token, &signing, signature, sizeof signature);
    kms_token_destroy(t->token, public_key);
    kms_token_destroy(t->token, private_key);
    return err;
}

/* Generates and wraps, and destroys what was generated. */
static kms_err make_wrapped(struct trial *t, struct kms_key_shape shape, uint8_t *blob, size_t *ret_len)
{
    const bool pair = shape.use >= KMS_USE_RSA_SIGN;
    kms_object public_key = 0, key = 0;
    shape.extractable = true;
    KMS_TRY(pair ? kms_token_generate_pair(t->token, &shape, &public_key, &key)
                 : kms_token_generate(t->token, &shape, &key));
    kms_err err = kms_token_wrap(t->token, t->wrapping, key, blob, KMS_HSM_PRIVATE_BYTES, ret_len);
    kms_token_destroy(t->token, public_key);
    kms_token_destroy(t->token, key);
    return err;
}

/* The life of a key version: generated, wrapped, unwrapped for use alone. */
static kms_err round_trip(struct trial *t, struct kms_key_shape shape, kms_object *ret_key)
{
    uint8_t blob[KMS_HSM_PRIVATE_BYTES];
    size_t len;
    KMS_TRY(make_wrapped(t, shape, blob, &len));
    return kms_token_unwrap(t->token, t->wrapping, kms_bytes_of(blob, len), &shape, ret_key);
}

static kms_err try_ecdsa(struct trial *t, uint16_t bits)
{
    kms_object key;
    uint8_t digest[64] = {1}, signature[2 * 66];
    unsigned hash = bits == 521 ? 512 : bits;
    KMS_TRY(round_trip(t, (struct kms_key_shape){.use = KMS_USE_EC_SIGN, .bits = bits}, &key));
    const struct kms_signing signing = {key, KMS_SIGNING_ECDSA, hash, {digest, hash / 8}};
    kms_err err = kms_token_sign(t->token, &signing, signature, 2 * ((bits + 7U) / 8));
    kms_token_destroy(t->token, key);
    return err;
}

static kms_err try_mac(struct trial *t, uint16_t bits)
{
    kms_object key;
    uint8_t mac[KMS_HSM_MAC_BYTES];
    KMS_TRY(round_trip(t, (struct kms_key_shape){.use = KMS_USE_MAC, .bits = bits}, &key));
    kms_err err = kms_token_hmac(t->token, key, bits, kms_bytes_text("probe"), mac);
    kms_token_destroy(t->token, key);
    return err;
}

/* A small key, once: this is about mechanisms and attributes, and every worker's start waits for it. A
 * larger one where a token (in FIPS mode, say) refuses that. */
static kms_err make_rsa(struct trial *t)
{
    static const uint16_t sizes[] = {1024, 2048};
    kms_err err = KMS_OK;
    for (size_t i = 0; t->rsa_len == 0 && i < sizeof sizes / sizeof sizes[0]; i++) {
        const struct kms_key_shape shape = {.use = KMS_USE_RSA_SIGN, .bits = sizes[i]};
        t->rsa_bytes = sizes[i] / 8U;
        err = make_wrapped(t, shape, t->rsa_blob, &t->rsa_len);
        if (kms_failed(err)) t->rsa_len = 0;
    }
    return t->rsa_len > 0 ? KMS_OK : err;
}

static kms_err open_rsa(struct trial *t, enum kms_key_use use, kms_object *ret_key)
{
    const struct kms_key_shape shape = {.use = use};
    KMS_TRY(make_rsa(t));
    return kms_token_unwrap(t->token, t->wrapping, kms_bytes_of(t->rsa_blob, t->rsa_len), &shape, ret_key);
}

static kms_err try_rsa_sign(struct trial *t)
{
    kms_object key;
    uint8_t digest[51] = {1}, signature[256];
    KMS_TRY(open_rsa(t, KMS_USE_RSA_SIGN, &key));
    const struct kms_signing pkcs1 = {key, KMS_SIGNING_RSA_PKCS1, 256, {digest, sizeof digest}};
    const struct kms_signing pss = {key, KMS_SIGNING_RSA_PSS, 256, {digest, 32}};
    kms_err err = kms_token_sign(t->token, &pkcs1, signature, t->rsa_bytes);
    if (!kms_failed(err)) err = kms_token_sign(t->token, &pss, signature, t->rsa_bytes);
    kms_token_destroy(t->token, key);
    return err;
}

static kms_err try_rsa_private(struct trial *t)
{
    kms_object key;
    uint8_t number[256] = {0, 1}, out[256];
    KMS_TRY(open_rsa(t, KMS_USE_RSA_DECRYPT, &key));
    kms_err err = kms_token_rsa_private(t->token, key, kms_bytes_of(number, t->rsa_bytes), out);
    kms_token_destroy(t->token, key);
    return err;
}

/* The way of imported material of HSM level. */
static kms_err try_import(struct trial *t)
{
    static const uint8_t secret[32] = {1};
    const struct kms_root root = {.wrap = t->wrapping};
    const struct kms_key_ref ref = {
        .version = 1, .spec = KMS_SPEC_AES_256, .usage = KMS_USAGE_ENCRYPT_DECRYPT, .level = KMS_LEVEL_HSM};
    const struct kms_material material = {.secret = kms_bytes_of(secret, sizeof secret)};
    uint8_t room[KMS_HSM_WRAPPED_BYTES];
    struct kms_wrapped made;
    return kms_material_take(t->token, &root, &ref, &material, room, &made);
}

static kms_err try_ecdsa_p256(struct trial *t)
{
    return try_ecdsa(t, 256);
}
static kms_err try_ecdsa_p384(struct trial *t)
{
    return try_ecdsa(t, 384);
}
static kms_err try_ecdsa_p521(struct trial *t)
{
    return try_ecdsa(t, 521);
}
static kms_err try_mac_256(struct trial *t)
{
    return try_mac(t, 256);
}
static kms_err try_mac_384(struct trial *t)
{
    return try_mac(t, 384);
}
static kms_err try_mac_512(struct trial *t)
{
    return try_mac(t, 512);
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
    {"ecdsa-p-256", "EC keys", try_ecdsa_p256},
    {"ecdsa-p-384", "EC keys", try_ecdsa_p384},
    {"ecdsa-p-521", "EC keys", try_ecdsa_p521},
    {"rsa-sign", "RSA keys that sign", try_rsa_sign},
    {"rsa-x-509", "RSA keys that decrypt", try_rsa_private},
    {"mac-sha-256", "HMAC keys", try_mac_256},
    {"mac-sha-384", "HMAC keys", try_mac_384},
    {"mac-sha-512", "HMAC keys", try_mac_512},
    {"import", "keys of HSM level with material from outside", try_import},
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
