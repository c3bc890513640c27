/* KeyService: aliases. */
#include <kms/client.h>

#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/keys.pb-c.h"

bool kms_client_create_alias(kms_client *client, const char *alias, const char *target_key_id,
                             const struct kms_call_options *options, struct kms_error *error)
{
    Kms__V1__CreateAliasRequest message;
    kms__v1__create_alias_request__init(&message);
    message.alias_name = kms_borrow_text(alias);
    message.target_key_id = kms_borrow_text(target_key_id);
    struct kms_unary call = {.rpc = KMS_RPC_CREATE_ALIAS, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_update_alias(kms_client *client, const char *alias, const char *target_key_id,
                             const struct kms_call_options *options, struct kms_error *error)
{
    Kms__V1__UpdateAliasRequest message;
    kms__v1__update_alias_request__init(&message);
    message.alias_name = kms_borrow_text(alias);
    message.target_key_id = kms_borrow_text(target_key_id);
    struct kms_unary call = {.rpc = KMS_RPC_UPDATE_ALIAS, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_delete_alias(kms_client *client, const char *alias, const struct kms_call_options *options,
                             struct kms_error *error)
{
    Kms__V1__DeleteAliasRequest message;
    kms__v1__delete_alias_request__init(&message);
    message.alias_name = kms_borrow_text(alias);
    struct kms_unary call = {.rpc = KMS_RPC_DELETE_ALIAS, .request = &message.base};
    return kms_unary_one(client, options, &call, NULL, error);
}

bool kms_client_list_aliases(kms_client *client, const struct kms_list_request *request,
                             const struct kms_call_options *options, struct kms_alias_list **ret_list,
                             struct kms_error *error)
{
    Kms__V1__ListAliasesRequest message;
    kms__v1__list_aliases_request__init(&message);
    message.key_id = kms_borrow_text(request->key_id);
    message.limit = request->limit;
    message.marker = kms_borrow_text(request->marker);
    struct kms_unary call = {.rpc = KMS_RPC_LIST_ALIASES, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_list = result;
    return true;
}
