/* kmsctl secret: create, get, put, random-password: what carries a value. */
#include <kms/secrets.h>
#include <string.h>

#include "base/text.h"
#include "client/kmsctl/commands.h"
#include "client/kmsctl/input.h"
#include "client/kmsctl/output.h"

/* The value from --in or standard input. It is text when it can be, since most readers want a string. */
static kms_err read_value(const struct ctl *ctl, kms_secret **ret_value, struct kms_blob *ret_blob,
                          bool *ret_binary, struct kms_why *why)
{
    KMS_TRY(ctl_read_secret(ctl->in, KMS_SECRET_VALUE_BYTES, ret_value, why));
    *ret_blob = (struct kms_blob){kms_secret_data(*ret_value), kms_secret_len(*ret_value)};
    *ret_binary = ctl->binary || !kms_utf8_valid(kms_bytes_of(ret_blob->data, ret_blob->len));
    return KMS_OK;
}

static bool print_written(struct ctl *ctl, struct kms_secret_written *written)
{
    bool ok = ctl_print(ctl, json_pack("{s:o, s:o, s:o}", "arn", ctl_json_text(written->arn), "name",
                                       ctl_json_text(written->name), "version_id",
                                       ctl_json_text(written->version_id)));
    kms_secret_written_free(written);
    return ok;
}

static void split_tags(const struct ctl *ctl, struct kms_tag tags[CTL_LIST_MAX])
{
    for (size_t i = 0; i < ctl->tags.count; i++) {
        char *text = (char *)(uintptr_t)ctl->tags.items[i], *equals = strchr(text, '='); /* argv may be cut */
        if (equals != NULL) *equals = '\0';
        tags[i] = (struct kms_tag){.key = text, .value = equals != NULL ? equals + 1 : ""};
    }
}

bool ctl_secret_create(struct ctl *ctl)
{
    KMS_OWN(kms_secret) value = NULL;
    KMS_OWN_BUF policy = {0};
    struct kms_why why = {0};
    struct kms_tag tags[CTL_LIST_MAX];
    struct kms_create_secret_request request = {.name = ctl->arguments[0],
                                                .client_request_token = ctl->token,
                                                .description = ctl->description,
                                                .kms_key_id = ctl->key,
                                                .tags = tags,
                                                .tag_count = ctl->tags.count,
                                                .bypass_policy_lockout_safety_check = ctl->bypass};
    kms_err err = KMS_OK;
    split_tags(ctl, tags);
    if (ctl->policy != NULL) err = ctl_read_text(ctl->policy, CTL_RESOURCE_POLICY_BYTES, &policy, &why);
    if (!kms_failed(err) && !ctl->no_value)
        err = read_value(ctl, &value, &request.value, &request.binary, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    request.resource_policy = policy.len > 0 ? (const char *)policy.data : NULL;
    kms_client *client = ctl_client(ctl);
    struct kms_secret_written *written;
    return client != NULL && kms_client_create_secret(client, &request, NULL, &written, &ctl->error) &&
           print_written(ctl, written);
}

bool ctl_secret_put(struct ctl *ctl)
{
    KMS_OWN(kms_secret) value = NULL;
    struct kms_why why = {0};
    struct kms_put_secret_request request = {.secret_id = ctl->arguments[0],
                                             .client_request_token = ctl->token,
                                             .version_stages = ctl->stages.items,
                                             .version_stage_count = ctl->stages.count};
    kms_err err = read_value(ctl, &value, &request.value, &request.binary, &why);
    if (kms_failed(err)) return ctl_fail(ctl, err, &why);
    kms_client *client = ctl_client(ctl);
    struct kms_secret_written *written;
    return client != NULL && kms_client_put_secret_value(client, &request, NULL, &written, &ctl->error) &&
           print_written(ctl, written);
}

static json_t *stages_of(const struct kms_secret_value *value)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < value->version_stage_count; i++)
        json_array_append_new(stages, ctl_json_text(value->version_stages[i]));
    return stages;
}

static bool print_value(struct ctl *ctl, const struct kms_secret_value *value)
{
    const void *data = kms_plaintext_data(value->value);
    const size_t len = kms_plaintext_len(value->value);
    if (!ctl_wants_json(ctl)) return ctl_write(ctl, kms_bytes_of(data, len));
    if (!ctl_output_secret(ctl)) return false;
    return ctl_print_secret(
        ctl, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "arn", ctl_json_text(value->arn), "name",
                       ctl_json_text(value->name), "version_id", ctl_json_text(value->version_id),
                       "version_stages", stages_of(value), "created", ctl_json_time(value->created_us),
                       value->binary ? "secret_binary" : "secret_string",
                       value->binary ? ctl_json_base64(data, len) : json_stringn(data, len)));
}

bool ctl_secret_get(struct ctl *ctl)
{
    struct kms_get_secret_request request = {
        .secret_id = ctl->arguments[0], .version_stage = ctl->stage, .version_id = ctl->version_id};
    struct kms_secret_value *value;
    if (!ctl_may_show(ctl)) return false;
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !kms_client_get_secret_value(client, &request, NULL, &value, &ctl->error))
        return false;
    bool ok = print_value(ctl, value);
    kms_secret_value_free(value);
    return ok;
}

static bool print_password(struct ctl *ctl, const kms_plaintext *password)
{
    const void *data = kms_plaintext_data(password);
    const size_t len = kms_plaintext_len(password);
    if (!ctl_wants_json(ctl)) return ctl_write(ctl, kms_bytes_of(data, len));
    return ctl_output_secret(ctl) &&
           ctl_print_secret(ctl, json_pack("{s:o}", "random_password", json_stringn(data, len)));
}

bool ctl_secret_random_password(struct ctl *ctl)
{
    struct kms_random_password_request request = {.length = ctl->password_length,
                                                  .exclude_characters = ctl->exclude,
                                                  .exclude_numbers = ctl->no_numbers,
                                                  .exclude_punctuation = ctl->no_punctuation,
                                                  .exclude_uppercase = ctl->no_uppercase,
                                                  .exclude_lowercase = ctl->no_lowercase,
                                                  .include_space = ctl->space,
                                                  .not_each_type = ctl->not_each_type};
    kms_plaintext *password;
    if (!ctl_may_show(ctl)) return false;
    kms_client *client = ctl_client(ctl);
    if (client == NULL || !kms_client_get_random_password(client, &request, NULL, &password, &ctl->error))
        return false;
    bool ok = print_password(ctl, password);
    kms_plaintext_free(password);
    return ok;
}
