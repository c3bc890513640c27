/* Database users of the service as leases.h wants them. */
#include <kms/leases.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/kms-env/service_inside.h"

static kms_err copy_bytes(const uint8_t *data, size_t len, kms_secret **ret_secret)
{
    KMS_TRY(kms_secret_new(len, ret_secret));
    kms_copy(kms_secret_data(*ret_secret), data, len);
    return KMS_OK;
}

static kms_err take_user(const struct kms_database_credentials *made, struct kms_env_user *ret_user,
                         struct kms_why *why)
{
    KMS_OWN(kms_secret) username = NULL;
    KMS_OWN(kms_secret) password = NULL;
    struct kms_env_user user = {.ttl_s = made->lease_duration_s, .expires_us = made->expires_us};
    if (strlen(made->lease_id) > KMS_ENV_LEASE_BYTES) {
        kms_why_set(why, "the id of the lease is longer than %d bytes", KMS_ENV_LEASE_BYTES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    snprintf(user.lease_id, sizeof user.lease_id, "%s", made->lease_id);
    KMS_TRY(copy_bytes((const uint8_t *)made->username, strlen(made->username), &username));
    KMS_TRY(copy_bytes(kms_plaintext_data(made->password), kms_plaintext_len(made->password), &password));
    user.username = KMS_GIVE(username);
    user.password = KMS_GIVE(password);
    *ret_user = user;
    return KMS_OK;
}

static kms_err give_back(void *self, const char *lease_id, uint32_t timeout_ms, struct kms_why *why)
{
    const kms_env_service *service = self;
    const struct kms_call_options options = {.timeout_ms = timeout_ms};
    struct kms_error error;
    if (kms_client_revoke_lease(service->client, lease_id, &options, &error)) return KMS_OK;
    return kms_env_service_error(&error, why);
}

static kms_err make(void *self, const char *role, struct kms_env_user *ret_user,
                    char reason[KMS_ENV_REASON_BYTES], struct kms_why *why)
{
    kms_env_service *service = self;
    const struct kms_generate_credentials_request request = {.role_name = role};
    struct kms_database_credentials *made = NULL;
    struct kms_error error;
    KMS_TRY(kms_env_service_need(service, why));
    if (!kms_client_generate_credentials(service->client, &request, NULL, &made, &error)) {
        snprintf(reason, KMS_ENV_REASON_BYTES, "%s", error.reason);
        return kms_env_service_error(&error, why);
    }
    kms_err err = take_user(made, ret_user, why);
    if (kms_failed(err)) kms_ignore(give_back(service, made->lease_id, 0, NULL));
    kms_database_credentials_free(made);
    return err;
}

static kms_err renew(void *self, const char *lease_id, uint64_t ttl_s, uint64_t *ret_ttl_s,
                     uint64_t *ret_expires_us, struct kms_why *why)
{
    const kms_env_service *service = self;
    const struct kms_renew_lease_request request = {.lease_id = lease_id, .increment_s = ttl_s};
    struct kms_lease_end end;
    struct kms_error error;
    if (!kms_client_renew_lease(service->client, &request, NULL, &end, &error))
        return kms_env_service_error(&error, why);
    *ret_ttl_s = end.lease_duration_s;
    *ret_expires_us = end.expires_us;
    return KMS_OK;
}

struct kms_env_lessor kms_env_service_lessor(kms_env_service *service)
{
    return (struct kms_env_lessor){
        .make = make, .renew = renew, .give_back = give_back, .now_us = kms_monotonic_us, .self = service};
}

void kms_env_service_lease(kms_env_service *service, kms_env_leases *leases)
{
    service->leases = leases;
}
