/* What references lead to, from the service by libkms. */
#include <jansson.h>
#include <kms/secrets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/kms-env/service_inside.h"

static kms_err take_value(const struct kms_secret_value *result, struct kms_env_fetch *fetch)
{
    size_t len = kms_plaintext_len(result->value);
    snprintf(fetch->version_id, sizeof fetch->version_id, "%s", result->version_id);
    if (len == 0) return KMS_OK;
    KMS_TRY(kms_secret_new(len, &fetch->value));
    kms_copy(kms_secret_data(fetch->value), kms_plaintext_data(result->value), len);
    return KMS_OK;
}

static void finish(struct kms_secret_item *item, struct kms_env_fetch *fetch)
{
    if (item->result != NULL) {
        fetch->err = take_value(item->result, fetch);
    } else {
        fetch->err = kms_env_service_error(&item->error, &fetch->why);
        snprintf(fetch->reason, sizeof fetch->reason, "%s", item->error.reason);
    }
    kms_secret_value_free(item->result);
}

/* Who stays renews the lease and gives it back. */
static void finish_role(const kms_env_service *service, struct kms_env_fetch *fetch)
{
    if (service->leases != NULL) {
        kms_env_leases_take(service->leases, fetch);
        return;
    }
    fetch->err = KMS_FAIL(UNSUPPORTED);
    kms_why_set(&fetch->why,
                "a database user lives as long as a program: kms-env run renews its lease, and gives "
                "it back; for a file, nobody would");
}

kms_err kms_env_service_fetch(void *self, struct kms_env_fetch *fetches, size_t count, struct kms_why *why)
{
    kms_env_service *service = self;
    size_t asked = 0;
    KMS_TRY(kms_env_service_need(service, why));
    struct kms_secret_item *items = calloc(count, sizeof *items);
    if (items == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        if (fetches[i].kind == KMS_ENV_REFERENCE_SECRET)
            items[asked++].request = (struct kms_get_secret_request){.secret_id = fetches[i].name,
                                                                     .version_stage = fetches[i].stage,
                                                                     .version_id = fetches[i].version};
    bool all = kms_client_get_secret_values(service->client, items, asked, KMS_ENV_IN_FLIGHT, NULL, NULL);
    (void)all; /* each item says for itself */
    for (size_t i = 0, at = 0; i < count; i++) {
        if (fetches[i].kind == KMS_ENV_REFERENCE_SECRET)
            finish(&items[at++], &fetches[i]);
        else
            finish_role(service, &fetches[i]);
    }
    free(items);
    return KMS_OK;
}

static bool has_stage(const json_t *version, const char *stage)
{
    const json_t *stages = json_object_get(version, "version_stages");
    for (size_t i = 0; i < json_array_size(stages); i++)
        if (strcmp(json_string_value(json_array_get(stages, i)), stage) == 0) return true;
    return false;
}

static kms_err find_stage(const json_t *description, const char *stage,
                          char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why)
{
    const json_t *versions = json_object_get(description, "versions");
    for (size_t i = 0; i < json_array_size(versions); i++) {
        const json_t *version = json_array_get(versions, i);
        if (!has_stage(version, stage)) continue;
        const char *id = json_string_value(json_object_get(version, "version_id"));
        snprintf(version_id, KMS_ENV_REFERENCE_VERSION_BYTES + 1, "%s", id != NULL ? id : "");
        return KMS_OK;
    }
    kms_why_set(why, "no version has the stage %s any more", stage);
    return KMS_FAIL(NOT_FOUND);
}

kms_err kms_env_service_version(kms_env_service *service, const char *name, const char *stage,
                                char version_id[KMS_ENV_REFERENCE_VERSION_BYTES + 1], struct kms_why *why)
{
    struct kms_error error;
    char request[KMS_ENV_REFERENCE_NAME_BYTES + 64], *reply = NULL;
    KMS_TRY(kms_env_service_need(service, why));
    snprintf(request, sizeof request, "{\"secret_id\": \"%s\"}", name); /* a name has nothing to escape */
    if (!kms_client_call_json(service->client, "SecretService/DescribeSecret", request, NULL, &reply, &error))
        return kms_env_service_error(&error, why);
    json_t *description = json_loads(reply, 0, NULL);
    kms_json_free(reply);
    kms_err err = find_stage(description, stage, version_id, why);
    json_decref(description);
    return err;
}
