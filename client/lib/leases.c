/* LeaseService: the calls of the holder of a lease, and their replies. */
#include <kms/leases.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/message.h"
#include "client/lib/store.h"
#include "client/lib/unary.h"
#include "kms/v1/leases.pb-c.h"

kms_err kms_take_database_credentials(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GenerateCredentialsResponse *reply = (const Kms__V1__GenerateCredentialsResponse *)message;
    if (reply->lease_id[0] == '\0' || reply->username[0] == '\0' || reply->password[0] == '\0') {
        kms_why_set(why, "the server answered without a lease, a user or a password");
        return KMS_FAIL(INTERNAL);
    }
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_database_credentials));
    KMS_OWN(kms_plaintext)
    password = kms_plaintext_of(kms_borrow_bytes((const uint8_t *)reply->password, strlen(reply->password)));
    if (store == NULL || password == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_database_credentials *result = store;
    *result = (struct kms_database_credentials){.lease_id = kms_store_text(store, reply->lease_id),
                                                .username = kms_store_text(store, reply->username),
                                                .lease_duration_s = reply->lease_duration,
                                                .expires_us = reply->expires_us};
    KMS_TRY(kms_store_check(store));
    result->password = KMS_GIVE(password);
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

void kms_database_credentials_free(struct kms_database_credentials *credentials)
{
    if (credentials != NULL) kms_plaintext_free(credentials->password);
    kms_store_free(credentials);
}

kms_err kms_take_lease_end(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__RenewLeaseResponse *reply = (const Kms__V1__RenewLeaseResponse *)message;
    struct kms_lease_end *end = calloc(1, sizeof *end);
    if (end == NULL) return KMS_FAIL(NO_MEMORY);
    *end = (struct kms_lease_end){reply->lease_duration, reply->expires_us};
    *ret_result = end;
    return KMS_OK;
}

bool kms_client_generate_credentials(kms_client *client,
                                     const struct kms_generate_credentials_request *request,
                                     const struct kms_call_options *options,
                                     struct kms_database_credentials **ret_credentials,
                                     struct kms_error *error)
{
    Kms__V1__GenerateCredentialsRequest message;
    kms__v1__generate_credentials_request__init(&message);
    message.role_name = kms_borrow_text(request->role_name);
    message.ttl = request->ttl_s;
    struct kms_unary call = {.rpc = KMS_RPC_GENERATE_CREDENTIALS, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_credentials = result;
    return true;
}

bool kms_client_renew_lease(kms_client *client, const struct kms_renew_lease_request *request,
                            const struct kms_call_options *options, struct kms_lease_end *ret_end,
                            struct kms_error *error)
{
    Kms__V1__RenewLeaseRequest message;
    kms__v1__renew_lease_request__init(&message);
    message.lease_id = kms_borrow_text(request->lease_id);
    message.increment = request->increment_s;
    struct kms_unary call = {.rpc = KMS_RPC_RENEW_LEASE, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_end = *(struct kms_lease_end *)result;
    free(result);
    return true;
}

bool kms_client_revoke_lease(kms_client *client, const char *lease_id, const struct kms_call_options *options,
                             struct kms_error *error)
{
    Kms__V1__RevokeLeaseRequest message;
    kms__v1__revoke_lease_request__init(&message);
    message.lease_id = kms_borrow_text(lease_id);
    struct kms_unary call = {.rpc = KMS_RPC_REVOKE_LEASE, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}
