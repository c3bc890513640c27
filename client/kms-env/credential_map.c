/* Checks the list before anybody is served from it. */
#include "client/kms-env/credential_map.h"

#include <string.h>

#include "base/conf.h"
#include "client/kms-env/reference.h"

#define KMS_CONF_DEF "client/kms-env/credentials.def"
#include "base/conf_table.def"

static bool is_pattern(const char *unit)
{
    return unit[strlen(unit) - 1] == '*';
}

/* The unit, or what it begins with. */
static struct kms_bytes fixed_part(const char *unit)
{
    return kms_bytes_of(unit, strlen(unit) - (is_pattern(unit) ? 1 : 0));
}

static kms_err check_secret(const char *text, struct kms_why *why)
{
    struct kms_env_reference reference;
    KMS_TRY(kms_env_reference_parse(kms_bytes_text(text), &reference, why));
    if (reference.kind == KMS_ENV_REFERENCE_SECRET) return KMS_OK;
    kms_why_set(why, "secret is kms-secret://NAME[#FIELD]: nobody would renew the lease of a database role");
    return KMS_FAIL(CONFIG_INVALID);
}

static kms_err check_one(const struct kms_env_credentials *map, size_t at, struct kms_why *why)
{
    const struct kms_env_credential *one = &map->credentials[at];
    if (!kms_env_credential_unit_valid(fixed_part(one->unit))) {
        kms_why_set(why, "unit is a name such as app.service, or its beginning and one * at the end");
        return KMS_FAIL(CONFIG_INVALID);
    }
    if (!kms_env_credential_id_valid(kms_bytes_text(one->credential))) {
        kms_why_set(why, "credential has A-Z a-z 0-9 - _ . @ + and nothing else");
        return KMS_FAIL(CONFIG_INVALID);
    }
    for (size_t i = 0; i < at; i++) {
        if (strcmp(map->credentials[i].unit, one->unit) != 0 ||
            strcmp(map->credentials[i].credential, one->credential) != 0)
            continue;
        kms_why_set(why, "unit and credential are there twice");
        return KMS_FAIL(CONFIG_INVALID);
    }
    return check_secret(one->secret, why);
}

kms_err kms_env_credential_map_load(const char *path, struct kms_env_credentials *ret_map,
                                    struct kms_why *why)
{
    struct kms_env_credentials map;
    KMS_TRY(kms_conf_load(&kms_env_credentials_section, path, &map, why));
    for (size_t i = 0; i < map.credentials_count; i++) {
        struct kms_why cause = {0};
        if (!kms_failed(check_one(&map, i, &cause))) continue;
        kms_why_set(why, "%s: entry %zu of credentials: %s", path, i + 1, cause.text);
        kms_env_credential_map_free(&map);
        return KMS_FAIL(CONFIG_INVALID);
    }
    *ret_map = map;
    return KMS_OK;
}

void kms_env_credential_map_free(struct kms_env_credentials *map)
{
    kms_conf_free(&kms_env_credentials_section, map);
}

static bool matches(const char *unit, struct kms_bytes asked)
{
    const struct kms_bytes fixed = fixed_part(unit);
    if (!is_pattern(unit)) return kms_bytes_equal(fixed, asked);
    return asked.len >= fixed.len && memcmp(asked.ptr, fixed.ptr, fixed.len) == 0;
}

const struct kms_env_credential *kms_env_credential_map_find(const struct kms_env_credentials *map,
                                                             const struct kms_env_credential_name *name)
{
    const struct kms_env_credential *best = NULL;
    for (size_t i = 0; i < map->credentials_count; i++) {
        const struct kms_env_credential *one = &map->credentials[i];
        if (!kms_bytes_equal(kms_bytes_text(one->credential), name->credential) ||
            !matches(one->unit, name->unit))
            continue;
        if (!is_pattern(one->unit)) return one;
        if (best == NULL || strlen(one->unit) > strlen(best->unit)) best = one;
    }
    return best;
}
