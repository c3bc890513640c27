/* KeyService: keys and their policies. */
#include <kms/client.h>

#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/keys.pb-c.h"

static bool run_metadata(kms_client *client, const struct kms_call_options *options, struct kms_unary *call,
                         struct kms_key_metadata **ret_metadata, struct kms_error *error)
{
    void *result = NULL;
    if (!kms_unary_one(client, options, call, &result, error)) return false;
    *ret_metadata = result;
    return true;
}

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

bool kms_client_create_key(kms_client *client, const struct kms_create_key_request *request,
                           const struct kms_call_options *options, struct kms_key_metadata **ret_metadata,
                           struct kms_error *error)
{
    Kms__V1__CreateKeyRequest message;
    kms__v1__create_key_request__init(&message);
    message.policy = kms_borrow_text(request->policy);
    message.description = kms_borrow_text(request->description);
    message.alias_name = kms_borrow_text(request->alias);
    int spec, usage, origin;
    if (!kms_enum_of(&kms__v1__key_spec__descriptor, "KEY_SPEC_", request->key_spec, &spec, error) ||
        !kms_enum_of(&kms__v1__key_usage__descriptor, "KEY_USAGE_", request->key_usage, &usage, error) ||
        !kms_enum_of(&kms__v1__key_origin__descriptor, "KEY_ORIGIN_", request->origin, &origin, error))
        return false;
    message.key_spec = (Kms__V1__KeySpec)spec;
    message.key_usage = (Kms__V1__KeyUsage)usage;
    message.origin = (Kms__V1__KeyOrigin)origin;
    message.protection_level = (Kms__V1__ProtectionLevel)request->protection_level;
    message.client_request_token = kms_borrow_text(request->client_request_token);
    message.bypass_policy_lockout_safety_check = request->bypass_policy_lockout_safety_check;
    struct kms_unary call = {.rpc = KMS_RPC_CREATE_KEY,
                             .request = &message.base,
                             .has_token = has_text(request->client_request_token)};
    return run_metadata(client, options, &call, ret_metadata, error);
}

bool kms_client_describe_key(kms_client *client, const char *key_id, const struct kms_call_options *options,
                             struct kms_key_metadata **ret_metadata, struct kms_error *error)
{
    Kms__V1__DescribeKeyRequest message;
    kms__v1__describe_key_request__init(&message);
    message.key_id = kms_borrow_text(key_id);
    struct kms_unary call = {.rpc = KMS_RPC_DESCRIBE_KEY, .request = &message.base};
    return run_metadata(client, options, &call, ret_metadata, error);
}

bool kms_client_list_keys(kms_client *client, const struct kms_list_request *request,
                          const struct kms_call_options *options, struct kms_key_list **ret_list,
                          struct kms_error *error)
{
    Kms__V1__ListKeysRequest message;
    kms__v1__list_keys_request__init(&message);
    message.limit = request->limit;
    message.marker = kms_borrow_text(request->marker);
    struct kms_unary call = {.rpc = KMS_RPC_LIST_KEYS, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_list = result;
    return true;
}

bool kms_client_enable_key(kms_client *client, const char *key_id, const struct kms_call_options *options,
                           struct kms_error *error)
{
    Kms__V1__EnableKeyRequest message;
    kms__v1__enable_key_request__init(&message);
    message.key_id = kms_borrow_text(key_id);
    struct kms_unary call = {.rpc = KMS_RPC_ENABLE_KEY, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_disable_key(kms_client *client, const char *key_id, const struct kms_call_options *options,
                            struct kms_error *error)
{
    Kms__V1__DisableKeyRequest message;
    kms__v1__disable_key_request__init(&message);
    message.key_id = kms_borrow_text(key_id);
    struct kms_unary call = {.rpc = KMS_RPC_DISABLE_KEY, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_rotate_key_on_demand(kms_client *client, const char *key_id, const char *client_request_token,
                                     const struct kms_call_options *options,
                                     struct kms_rotate_result **ret_result, struct kms_error *error)
{
    Kms__V1__RotateKeyOnDemandRequest message;
    kms__v1__rotate_key_on_demand_request__init(&message);
    message.key_id = kms_borrow_text(key_id);
    message.client_request_token = kms_borrow_text(client_request_token);
    struct kms_unary call = {.rpc = KMS_RPC_ROTATE_KEY_ON_DEMAND,
                             .request = &message.base,
                             .has_token = has_text(client_request_token)};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_result = result;
    return true;
}

bool kms_client_put_key_policy(kms_client *client, const struct kms_put_key_policy_request *request,
                               const struct kms_call_options *options, struct kms_error *error)
{
    Kms__V1__PutKeyPolicyRequest message;
    kms__v1__put_key_policy_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.policy = kms_borrow_text(request->policy);
    message.bypass_policy_lockout_safety_check = request->bypass_policy_lockout_safety_check;
    struct kms_unary call = {.rpc = KMS_RPC_PUT_KEY_POLICY, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_get_key_policy(kms_client *client, const char *key_id, const struct kms_call_options *options,
                               struct kms_key_policy **ret_policy, struct kms_error *error)
{
    Kms__V1__GetKeyPolicyRequest message;
    kms__v1__get_key_policy_request__init(&message);
    message.key_id = kms_borrow_text(key_id);
    struct kms_unary call = {.rpc = KMS_RPC_GET_KEY_POLICY, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_policy = result;
    return true;
}
