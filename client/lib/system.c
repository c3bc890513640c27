/* SystemService: the request and its result. */
#include <kms/client.h>

#include "client/lib/store.h"
#include "client/lib/unary.h"
#include "kms/v1/system.pb-c.h"

static void add_capabilities(struct kms_status *result, const Kms__V1__GetStatusResponse *reply)
{
    struct kms_capability *capabilities =
        kms_store_add(result, reply->n_hsm_capabilities, sizeof *capabilities);
    for (size_t i = 0; capabilities != NULL && i < reply->n_hsm_capabilities; i++)
        capabilities[i] =
            (struct kms_capability){.name = kms_store_text(result, reply->hsm_capabilities[i]->name),
                                    .available = reply->hsm_capabilities[i]->available,
                                    .reason = kms_store_text(result, reply->hsm_capabilities[i]->reason)};
    result->hsm_capabilities = capabilities;
    result->hsm_capability_count = reply->n_hsm_capabilities;
}

static void add_listeners(struct kms_status *result, const Kms__V1__GetStatusResponse *reply)
{
    struct kms_status_listener *listeners = kms_store_add(result, reply->n_listeners, sizeof *listeners);
    for (size_t i = 0; listeners != NULL && i < reply->n_listeners; i++) {
        const Kms__V1__Listener *from = reply->listeners[i];
        listeners[i] = (struct kms_status_listener){.address = kms_store_text(result, from->address),
                                                    .transport = kms_store_text(result, from->transport),
                                                    .protocol = kms_store_text(result, from->protocol),
                                                    .default_principal =
                                                        kms_store_text(result, from->default_principal)};
    }
    result->listeners = listeners;
    result->listener_count = reply->n_listeners;
}

static const char *const *add_texts(void *store, char *const *texts, size_t count)
{
    const char **copies = kms_store_add(store, count, sizeof *copies);
    for (size_t i = 0; copies != NULL && i < count; i++) copies[i] = kms_store_text(store, texts[i]);
    return copies;
}

static void add_sentences(struct kms_status *result, const Kms__V1__GetStatusResponse *reply)
{
    result->warnings = add_texts(result, reply->warnings, reply->n_warnings);
    result->warning_count = reply->n_warnings;
    result->audit_troubles = add_texts(result, reply->audit_troubles, reply->n_audit_troubles);
    result->audit_trouble_count = reply->n_audit_troubles;
}

kms_err kms_take_status(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__GetStatusResponse *reply = (const Kms__V1__GetStatusResponse *)message;
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_status));
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_status *)store = (struct kms_status){
        .version = kms_store_text(store, reply->version),
        .instance_id = kms_store_text(store, reply->instance_id),
        .start_time_us = reply->start_time_us,
        .policy_separation = kms_store_text(store, reply->policy_separation),
        .service_policy_sha256 = kms_store_text(store, reply->service_policy_sha256),
        .hsm_workers_healthy = reply->hsm_workers_healthy,
        .hsm_workers_configured = reply->hsm_workers_configured,
        .hsm_token = kms_store_text(store, reply->hsm_token),
        .root_id = reply->root_id,
        .keystore_revision = reply->keystore_revision,
        .keys = reply->keys,
        .aliases = reply->aliases,
        .keystore_digest = kms_store_text(store, reply->keystore_digest),
        .audit_sequence = reply->audit_sequence,
        .audit_head = kms_store_text(store, reply->audit_head),
        .audit_writable = reply->audit_writable,
    };
    add_capabilities(store, reply);
    add_sentences(store, reply);
    add_listeners(store, reply);
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

void kms_status_free(struct kms_status *status)
{
    kms_store_free(status);
}

bool kms_client_get_status(kms_client *client, const struct kms_call_options *options,
                           struct kms_status **ret_status, struct kms_error *error)
{
    Kms__V1__GetStatusRequest message;
    kms__v1__get_status_request__init(&message);
    struct kms_unary call = {.rpc = KMS_RPC_GET_STATUS, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_status = result;
    return true;
}
