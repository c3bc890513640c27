/* DescribeKey: everything about a key but its material. */

#include "hsm/spec.h"
#include "kmsd/keys/state.h"
#include "kmsd/service/access.h"
#include "kmsd/service/asymmetric.h"
#include "kmsd/service/describe.h"
#include "kmsd/service/methods.h"
#include "kmsd/service/seal.h"

enum { ALIASES_SHOWN = 100, VERSIONS_SHOWN = 100 };

static bool add_aliases(struct kms_call *call, const struct kms_key *key, Kms__V1__KeyMetadata *meta)
{
    struct kms_alias *aliases = kms_call_alloc(call, ALIASES_SHOWN * sizeof *aliases);
    if (aliases == NULL) return false;
    size_t count = kms_keyring_aliases_of(call->core->keys, &key->id, aliases, ALIASES_SHOWN);
    meta->n_aliases = count < ALIASES_SHOWN ? count : ALIASES_SHOWN;
    meta->aliases = kms_call_alloc(call, meta->n_aliases * sizeof *meta->aliases);
    for (size_t i = 0; meta->aliases != NULL && i < meta->n_aliases; i++) meta->aliases[i] = aliases[i].name;
    return meta->aliases != NULL;
}

/* What is stored and what is told have the same numbers. */
_Static_assert((int)KMS__V1__KEY_STATE__KEY_STATE_UNAVAILABLE == (int)KMS_STATE_UNAVAILABLE, "states");
_Static_assert((int)KMS__V1__KEY_ORIGIN__KEY_ORIGIN_EXTERNAL == (int)KMS_ORIGIN_EXTERNAL, "origins");
_Static_assert((int)KMS__V1__VERSION_CAUSE__VERSION_CAUSE_IMPORT == (int)KMS_CAUSE_IMPORT, "causes");

Kms__V1__KeyVersion **kms_describe_versions(struct kms_call *call, const struct kms_key *key, uint32_t first,
                                            uint32_t count)
{
    Kms__V1__KeyVersion *versions = kms_call_alloc(call, (count + 1) * sizeof *versions);
    Kms__V1__KeyVersion **list = kms_call_alloc(call, (count + 1) * sizeof(Kms__V1__KeyVersion *));
    if (versions == NULL || list == NULL) return NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct kms_key_version *from = &key->versions[first - 1 + i];
        kms__v1__key_version__init(&versions[i]);
        versions[i].version = from->version;
        versions[i].creation_time_us = from->created_us;
        versions[i].root_id = from->root_id;
        versions[i].cause = (Kms__V1__VersionCause)from->cause;
        versions[i].retirement_time_us = from->retired_us;
        versions[i].expiration_time_us = from->expires_us;
        list[i] = &versions[i];
    }
    return list;
}

/* The newest ones when there are very many. */
static bool add_versions(struct kms_call *call, const struct kms_key *key, Kms__V1__KeyMetadata *meta)
{
    uint32_t shown = key->version_count < VERSIONS_SHOWN ? key->version_count : VERSIONS_SHOWN;
    meta->n_versions = shown;
    meta->versions = kms_describe_versions(call, key, key->version_count - shown + 1, shown);
    return meta->versions != NULL;
}

_Static_assert((int)KMS__V1__KEY_SPEC__KEY_SPEC_HMAC_512 == (int)KMS_SPEC_HMAC_512, "specs");
_Static_assert((int)KMS__V1__KEY_SPEC__KEY_SPEC_ECC_NIST_EDWARDS25519 == (int)KMS_SPEC_ED25519, "specs");
_Static_assert((int)KMS__V1__KEY_USAGE__KEY_USAGE_GENERATE_VERIFY_MAC == (int)KMS_USAGE_GENERATE_VERIFY_MAC,
               "usages");

/* Where its plain material may be, and what the worker does for a token that cannot. */
static const char *exposure_of(const struct kms_key *key)
{
    if (key->level != KMS_LEVEL_HSM) return "in the memory of kms-hsm";
    if (kms_algorithm_fits(KMS_ALGORITHM_RSAES_OAEP_SHA_256, key->spec, key->usage))
        return "in the token; the OAEP padding of what it decrypts is checked in kms-hsm";
    return "in the token";
}

static bool add_algorithms(struct kms_call *call, const struct kms_key *key, Kms__V1__KeyMetadata *meta)
{
    struct kms_algorithms algorithms;
    if (!kms_algorithms_of_key(call, key, &algorithms)) return false;
    meta->n_encryption_algorithms = algorithms.encryption_count;
    meta->encryption_algorithms = algorithms.encryption;
    meta->n_signing_algorithms = algorithms.signing_count;
    meta->signing_algorithms = algorithms.signing;
    meta->n_mac_algorithms = algorithms.mac_count;
    meta->mac_algorithms = algorithms.mac;
    return true;
}

Kms__V1__KeyMetadata *kms_describe(struct kms_call *call, const struct kms_key *key)
{
    Kms__V1__KeyMetadata *meta = kms_call_alloc(call, sizeof *meta);
    char *arn = kms_call_alloc(call, KMS_ARN_BYTES);
    if (meta == NULL || arn == NULL) return NULL;
    kms__v1__key_metadata__init(meta);
    kms_key_arn(&call->core->arn, key->id_text, arn);
    meta->key_id = kms_arena_print(&call->arena, "%s", key->id_text);
    meta->arn = arn;
    meta->creation_time_us = key->created_us;
    meta->description = kms_arena_print(&call->arena, "%s", kms_key_description(key));
    meta->key_spec = (Kms__V1__KeySpec)key->spec;
    meta->key_usage = (Kms__V1__KeyUsage)key->usage;
    meta->key_state = (Kms__V1__KeyState)kms_core_key_state(call->core, key, call->started_us);
    meta->origin = (Kms__V1__KeyOrigin)key->origin;
    meta->revision = key->revision;
    meta->deletion_time_us = key->deletion_us;
    meta->rotation_period_days = key->rotation_period_days;
    meta->next_rotation_time_us = key->rotation_next_us;
    meta->approvals_required = key->rule != NULL ? key->rule->required : 0;
    bool hsm = key->level == KMS_LEVEL_HSM;
    meta->protection_level = hsm ? KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_HSM
                                 : KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE;
    bool imported = key->origin == KMS_ORIGIN_EXTERNAL;
    meta->material_exposure =
        kms_arena_print(&call->arena, "%s%s", exposure_of(key),
                        imported ? "; before the import elsewhere, and during it in kms-hsm" : "");
    meta->current_version = key->version_count;
    if (meta->key_id == NULL || meta->description == NULL || meta->material_exposure == NULL) return NULL;
    return add_algorithms(call, key, meta) && add_aliases(call, key, meta) && add_versions(call, key, meta)
               ? meta
               : NULL;
}

kms_err kms_describe_key_gather(struct kms_call *call)
{
    const Kms__V1__DescribeKeyRequest *request = (const void *)call->request;
    struct kms_access *access;
    return kms_access_named(call, KMS_ACT_DESCRIBE_KEY, request->key_id, &access);
}

kms_err kms_describe_key_act(struct kms_call *call)
{
    Kms__V1__DescribeKeyResponse *reply = kms_new_reply(call);
    if (reply == NULL) return KMS_FAIL(NO_MEMORY);
    reply->key_metadata = kms_describe(call, call->access[0].key);
    return reply->key_metadata != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}
