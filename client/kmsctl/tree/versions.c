/* DescribeKey, remembered. */
#include "client/kmsctl/tree/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(struct kms_error *error, kms_err err, const char *words)
{
    *error = (struct kms_error){.code = kms_err_grpc_status(err)};
    snprintf(error->reason, sizeof error->reason, "%s", kms_err_reason(err));
    snprintf(error->message, sizeof error->message, "%s", words);
    return false;
}

static bool ask(kms_client *client, const char *name, struct ctl_version *version)
{
    struct kms_key_metadata *key;
    if (!kms_client_describe_key(client, name, NULL, &key, &version->error)) return false;
    bool ok = kms_id_parse(kms_bytes_text(key->key_id), &version->key);
    version->current = key->current_version;
    kms_key_metadata_free(key);
    return ok || fail(&version->error, KMS_FAIL(INTERNAL), "the service answered a key id that is none");
}

static const struct ctl_version *keep(ctl_versions *versions, const struct ctl_version *version,
                                      struct kms_error *error)
{
    if (versions->count == versions->cap) {
        size_t cap = versions->cap == 0 ? 8 : 2 * versions->cap;
        struct ctl_version *items = reallocarray(versions->items, cap, sizeof *items);
        if (items == NULL) {
            fail(error, KMS_FAIL(NO_MEMORY), kms_err_text(KMS_FAIL(NO_MEMORY)));
            return NULL;
        }
        versions->items = items;
        versions->cap = cap;
    }
    versions->items[versions->count] = *version;
    return &versions->items[versions->count++];
}

const struct ctl_version *ctl_version_named(ctl_versions *versions, kms_client *client, const char *name,
                                            struct kms_error *error)
{
    struct ctl_version version = {0};
    if (ask(client, name, &version)) return keep(versions, &version, error);
    *error = version.error;
    return NULL;
}

const struct ctl_version *ctl_version_of(ctl_versions *versions, kms_client *client, const struct kms_id *key,
                                         struct kms_error *error)
{
    const struct ctl_version *known = NULL;
    for (size_t i = 0; i < versions->count && known == NULL; i++)
        if (kms_id_equal(&versions->items[i].key, key)) known = &versions->items[i];
    if (known == NULL) {
        char name[KMS_ID_TEXT];
        struct ctl_version version = {.key = *key};
        kms_id_text(key, name);
        bool described = ask(client, name, &version);
        version.key = *key;
        (void)described; /* its error is remembered with it */
        known = keep(versions, &version, error);
    }
    if (known == NULL || known->error.code == 0) return known;
    *error = known->error;
    return NULL;
}

void ctl_versions_free(ctl_versions *versions)
{
    free(versions->items);
    *versions = (ctl_versions){0};
}
