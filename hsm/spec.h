/* The key specs and algorithms of spec.def, for daemon and worker alike. Thread-safe: constants only. */
#ifndef KMS_HSM_SPEC_H
#define KMS_HSM_SPEC_H

#include "hsm/hsm.h"

enum kms_family { KMS_FAMILY_AES = 1, KMS_FAMILY_RSA, KMS_FAMILY_EC, KMS_FAMILY_ED, KMS_FAMILY_HMAC };

enum { KMS_CAN_ENCRYPT = 1 << KMS_USAGE_ENCRYPT_DECRYPT };
enum { KMS_CAN_SIGN = 1 << KMS_USAGE_SIGN_VERIFY };
enum { KMS_CAN_MAC = 1 << KMS_USAGE_GENERATE_VERIFY_MAC };

struct kms_spec {
    const char *name; /* AWS's; static */
    enum kms_family family;
    uint16_t bits;  /* of the key, the modulus or the curve */
    uint8_t usages; /* KMS_CAN_* */
};
/* NULL: no such spec. */
const struct kms_spec *kms_spec_of(unsigned spec);
/* A spec that may have that usage. */
bool kms_spec_usage_fits(unsigned spec, unsigned usage);
static inline bool kms_family_has_public(enum kms_family family)
{
    return family == KMS_FAMILY_RSA || family == KMS_FAMILY_EC || family == KMS_FAMILY_ED;
}
const char *kms_usage_name(unsigned usage); /* "SIGN_VERIFY"; static; NULL: no such usage */

struct kms_algorithm_row {
    const char *name;
    enum kms_family family;
    enum kms_key_usage usage;
    uint16_t bits; /* of the one spec that it works with; 0: any of the family */
    uint16_t hash; /* bits of the digest */
};
const struct kms_algorithm_row *kms_algorithm_of(unsigned algorithm); /* NULL: no such algorithm */
/* May a key of this spec and usage be used with it? */
bool kms_algorithm_fits(unsigned algorithm, unsigned spec, unsigned usage);

/*
 * What keeps a token from making keys of that kind, in words; NULL: nothing. Found by the probe of the
 * workers' start (status). Borrowed from status, or static.
 */
const char *kms_spec_missing(const struct kms_hsm_status *status, const struct kms_key_ref *ref);
/* The same of keys whose material comes from outside. */
const char *kms_spec_import_missing(const struct kms_hsm_status *status, const struct kms_key_ref *ref);

#endif
