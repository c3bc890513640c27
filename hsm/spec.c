/* The tables of spec.def, and which capability of a token each kind of key stands on. */
#include "hsm/spec.h"

#include <string.h>

static const struct kms_spec specs[] = {
#define KMS_SPEC(symbol, number, text, fam, size, can)                                                       \
    [number] = {.name = (text), .family = KMS_FAMILY_##fam, .bits = (size), .usages = (can)},
#include "hsm/spec.def"
#undef KMS_SPEC
};

static const struct kms_algorithm_row algorithms[] = {
#define KMS_ALGORITHM(symbol, number, text, fam, use, size, digest)                                          \
    [number] = {.name = (text),                                                                              \
                .family = KMS_FAMILY_##fam,                                                                  \
                .usage = KMS_USAGE_##use,                                                                    \
                .bits = (size),                                                                              \
                .hash = (digest)},
#include "hsm/spec.def"
#undef KMS_ALGORITHM
};

const struct kms_spec *kms_spec_of(unsigned spec)
{
    return spec < sizeof specs / sizeof specs[0] && specs[spec].name != NULL ? &specs[spec] : NULL;
}

bool kms_spec_usage_fits(unsigned spec, unsigned usage)
{
    const struct kms_spec *row = kms_spec_of(spec);
    return row != NULL && usage < 8 && (row->usages >> usage & 1);
}

const char *kms_usage_name(unsigned usage)
{
    static const char *const names[] = {[KMS_USAGE_ENCRYPT_DECRYPT] = "ENCRYPT_DECRYPT",
                                        [KMS_USAGE_SIGN_VERIFY] = "SIGN_VERIFY",
                                        [KMS_USAGE_GENERATE_VERIFY_MAC] = "GENERATE_VERIFY_MAC"};
    return usage < sizeof names / sizeof names[0] ? names[usage] : NULL;
}

const struct kms_algorithm_row *kms_algorithm_of(unsigned algorithm)
{
    bool known = algorithm < sizeof algorithms / sizeof algorithms[0] && algorithms[algorithm].name != NULL;
    return known ? &algorithms[algorithm] : NULL;
}

bool kms_algorithm_fits(unsigned algorithm, unsigned spec, unsigned usage)
{
    const struct kms_algorithm_row *a = kms_algorithm_of(algorithm);
    const struct kms_spec *s = kms_spec_of(spec);
    return a != NULL && s != NULL && a->family == s->family && a->usage == usage &&
           (a->bits == 0 || a->bits == s->bits);
}

/* Names of probe.c. */
static const char *capability_for(const struct kms_spec *spec, unsigned usage)
{
    switch (spec->family) {
    case KMS_FAMILY_AES:
        return "aes-256-gcm";
    case KMS_FAMILY_RSA:
        return usage == KMS_USAGE_SIGN_VERIFY ? "rsa-sign" : "rsa-x-509";
    case KMS_FAMILY_EC:
        return spec->bits == 256 ? "ecdsa-p-256" : spec->bits == 384 ? "ecdsa-p-384" : "ecdsa-p-521";
    case KMS_FAMILY_ED:
        return "ed25519-wrap";
    case KMS_FAMILY_HMAC:
        return spec->bits == 256 ? "mac-sha-256" : spec->bits == 384 ? "mac-sha-384" : "mac-sha-512";
    }
    return "";
}

/* NULL: available. */
static const char *reason_of(const struct kms_hsm_status *status, const char *name)
{
    for (unsigned i = 0; i < status->capability_count; i++) {
        const struct kms_hsm_capability *c = &status->capabilities[i];
        if (strcmp(c->name, name) != 0) continue;
        return c->available ? NULL : c->reason[0] != '\0' ? c->reason : "the token failed the trial";
    }
    return "the token was not tried";
}

const char *kms_spec_missing(const struct kms_hsm_status *status, const struct kms_key_ref *ref)
{
    const struct kms_spec *spec = kms_spec_of(ref->spec);
    if (spec == NULL || !kms_spec_usage_fits(ref->spec, ref->usage)) return "no such kind of key";
    if (ref->level == KMS_LEVEL_SOFTWARE) return reason_of(status, "aes-256-gcm"); /* root-seal */
    static const char *const always[] = {"aes-key-wrap-pad", "unwrap-template"};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (reason_of(status, always[i]) != NULL) return reason_of(status, always[i]);
    const char *reason = reason_of(status, capability_for(spec, ref->usage));
    if (reason != NULL || spec->family != KMS_FAMILY_ED) return reason;
    return "Ed25519 keys are of SOFTWARE level in this release"; /* no token that could was there to try */
}

const char *kms_spec_import_missing(const struct kms_hsm_status *status, const struct kms_key_ref *ref)
{
    const char *reason = kms_spec_missing(status, ref);
    return reason == NULL && ref->level == KMS_LEVEL_HSM ? reason_of(status, "import") : reason;
}
