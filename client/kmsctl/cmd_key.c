/* kmsctl key: create, list, describe, enable, disable, rotate. */
#include <string.h>

#include "base/id.h"
#include "client/kmsctl/call.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/describe.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/pages.h"
#include "client/kmsctl/policy_document.h"

bool ctl_key_create(struct ctl *ctl)
{
    KMS_OWN_BUF policy = {0};
    char token[KMS_ID_TEXT], alias[CTL_ALIAS_BYTES];
    if (!ctl_policy_given(ctl, &policy) || !ctl_new_token(ctl, token)) return false;
    struct kms_create_key_request request = {
        .policy = policy.len > 0 ? (const char *)policy.data : NULL,
        .description = ctl->description,
        .alias = ctl_alias_name(ctl->alias, alias),
        .protection_level = ctl->protection == NULL                    ? KMS_PROTECTION_DEFAULT
                            : strcmp(ctl->protection, "software") == 0 ? KMS_PROTECTION_SOFTWARE
                                                                       : KMS_PROTECTION_HSM,
        .key_spec = ctl->key_spec,
        .key_usage = ctl->key_usage,
        .origin = ctl->origin != NULL && strcmp(ctl->origin, "external") == 0 ? "EXTERNAL" : NULL,
        .client_request_token = token,
        .bypass_policy_lockout_safety_check = ctl->bypass};
    kms_client *client = ctl_client(ctl);
    struct kms_key_metadata *key;
    if (client == NULL || !kms_client_create_key(client, &request, NULL, &key, &ctl->error)) return false;
    bool ok = ctl_print(ctl, ctl_describe_key(key));
    kms_key_metadata_free(key);
    return ok;
}

bool ctl_key_describe(struct ctl *ctl)
{
    json_t *reply, *request = json_pack("{s:o}", "key_id", ctl_json_text(ctl->arguments[0]));
    if (!ctl_call(ctl, "KeyService/DescribeKey", request, &reply)) return false;
    json_t *key = json_incref(json_object_get(reply, "key_metadata"));
    json_decref(reply);
    json_object_set(key, "state", json_object_get(key, "key_state")); /* its name in every command */
    json_object_del(key, "key_state");
    return ctl_print(ctl, key);
}

/* The first --tag is the filter; NAME alone asks for any value. */
static json_t *list_request(const struct ctl *ctl, const struct kms_list_request *page)
{
    const char *tag = ctl->tags.count > 0 ? ctl->tags.items[0] : "", *equals = strchr(tag, '=');
    size_t name = equals != NULL ? (size_t)(equals - tag) : strlen(tag);
    return json_pack("{s:I, s:s, s:s%, s:s, s:s}", "limit", (json_int_t)page->limit, "marker",
                     page->marker != NULL ? page->marker : "", "tag_key", tag, name, "tag_value",
                     equals != NULL ? equals + 1 : "", "alias_prefix",
                     ctl->alias_prefix != NULL ? ctl->alias_prefix : "");
}

static bool add_keys(struct ctl *ctl, kms_client *client, const struct kms_list_request *request,
                     json_t *rows, kms_buf *marker)
{
    json_t *reply;
    (void)client;
    if (!ctl_call(ctl, "KeyService/ListKeys", list_request(ctl, request), &reply)) return false;
    const json_t *keys = json_object_get(reply, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        json_array_append_new(rows, json_pack("{s:O, s:O}", "key_id", json_object_get(key, "key_id"), "arn",
                                              json_object_get(key, "key_arn")));
    }
    bool more = json_is_true(json_object_get(reply, "truncated"));
    bool ok =
        ctl_next_page(ctl, more ? json_string_value(json_object_get(reply, "next_marker")) : "", marker);
    json_decref(reply);
    return ok;
}

bool ctl_key_list(struct ctl *ctl)
{
    return ctl_print_pages(ctl, add_keys);
}

bool ctl_key_enable(struct ctl *ctl)
{
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_enable_key(client, ctl->arguments[0], NULL, &ctl->error);
}

bool ctl_key_disable(struct ctl *ctl)
{
    kms_client *client = ctl_client(ctl);
    return client != NULL && kms_client_disable_key(client, ctl->arguments[0], NULL, &ctl->error);
}

bool ctl_key_rotate(struct ctl *ctl)
{
    char token[KMS_ID_TEXT];
    kms_client *client = ctl_client(ctl);
    struct kms_rotate_result *result;
    if (client == NULL || !ctl_new_token(ctl, token) ||
        !kms_client_rotate_key_on_demand(client, ctl->arguments[0], token, NULL, &result, &ctl->error))
        return false;
    bool ok = ctl_print(ctl, json_pack("{s:o, s:I}", "key_arn", ctl_json_text(result->key_arn),
                                       "current_version", (json_int_t)result->current_version));
    kms_rotate_result_free(result);
    return ok;
}
