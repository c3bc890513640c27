/* Secrets of the service as import.h wants them. */
#include <kms/secrets.h>

#include "client/kms-env/service_inside.h"

static kms_err get(void *self, const char *name, kms_secret **ret_value, struct kms_why *why)
{
    struct kms_env_service_store *store = self;
    struct kms_get_secret_request request = {.secret_id = name};
    struct kms_secret_value *result = NULL;
    struct kms_error error;
    KMS_TRY(kms_env_service_need(store->service, why));
    if (!kms_client_get_secret_value(store->service->client, &request, NULL, &result, &error))
        return kms_env_service_error(&error, why);
    const size_t len = kms_plaintext_len(result->value);
    kms_err err = len > 0 ? kms_secret_new(len, ret_value) : KMS_OK;
    if (!kms_failed(err) && len > 0)
        kms_copy(kms_secret_data(*ret_value), kms_plaintext_data(result->value), len);
    kms_secret_value_free(result);
    return err;
}

static kms_err create(void *self, const char *name, struct kms_bytes value, struct kms_why *why)
{
    struct kms_env_service_store *store = self;
    struct kms_create_secret_request request = {.name = name,
                                                .value = {value.ptr, value.len},
                                                .kms_key_id = store->key,
                                                .resource_policy = store->policy};
    struct kms_secret_written *written = NULL;
    struct kms_error error;
    KMS_TRY(kms_env_service_need(store->service, why));
    if (!kms_client_create_secret(store->service->client, &request, NULL, &written, &error))
        return kms_env_service_error(&error, why);
    kms_secret_written_free(written);
    return KMS_OK;
}

static kms_err put(void *self, const char *name, struct kms_bytes value, struct kms_why *why)
{
    struct kms_env_service_store *store = self;
    struct kms_put_secret_request request = {.secret_id = name, .value = {value.ptr, value.len}};
    struct kms_secret_written *written = NULL;
    struct kms_error error;
    KMS_TRY(kms_env_service_need(store->service, why));
    if (!kms_client_put_secret_value(store->service->client, &request, NULL, &written, &error))
        return kms_env_service_error(&error, why);
    kms_secret_written_free(written);
    return KMS_OK;
}

struct kms_env_store kms_env_service_keeper(struct kms_env_service_store *store)
{
    return (struct kms_env_store){.get = get, .create = create, .put = put, .self = store};
}
