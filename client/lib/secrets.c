/* SecretService: the calls that carry a value. */
#include <kms/secrets.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "client/lib/failure.h"
#include "client/lib/message.h"
#include "client/lib/unary.h"
#include "kms/v1/secrets.pb-c.h"

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* protobuf-c wants texts with a NUL behind them, and a value has none. */
typedef struct message_value {
    Kms__V1__SecretValue message;
    char *text;
    size_t text_bytes;
} message_value;

static void message_value_free(message_value *value)
{
    kms_locked_free(value->text, value->text_bytes);
}
#define OWN_VALUE __attribute__((cleanup(message_value_free))) message_value

static kms_err fill_text(message_value *value, struct kms_blob from, struct kms_why *why)
{
    if (from.len > 0 && !kms_utf8_valid(kms_bytes_of(from.data, from.len))) {
        kms_why_set(why, "the value is not UTF-8 without NUL: store it as binary");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    value->text = kms_locked_alloc(from.len + 1);
    if (value->text == NULL) return KMS_FAIL(NO_MEMORY);
    value->text_bytes = from.len + 1;
    kms_copy(value->text, from.data, from.len);
    value->message.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
    value->message.secret_string = value->text;
    return KMS_OK;
}

static kms_err fill_value(message_value *value, struct kms_blob from, bool binary, struct kms_why *why)
{
    kms__v1__secret_value__init(&value->message);
    if (from.len > KMS_SECRET_VALUE_BYTES) {
        kms_why_set(why, "the value has %zu bytes, and at most %d are stored", from.len,
                    KMS_SECRET_VALUE_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    if (!binary) return fill_text(value, from, why);
    value->message.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY;
    value->message.secret_binary = kms_borrow_bytes(from.data, from.len);
    return KMS_OK;
}

/* Pointers to the tags, and the tags, in one block that the caller frees. NULL: no memory. */
static Kms__V1__Tag **fill_tags(const struct kms_tag *tags, size_t count)
{
    Kms__V1__Tag **pointers = calloc(count + 1, sizeof(Kms__V1__Tag *) + sizeof(Kms__V1__Tag));
    Kms__V1__Tag *messages = (Kms__V1__Tag *)(void *)(pointers + count + 1);
    for (size_t i = 0; pointers != NULL && i < count; i++) {
        pointers[i] = &messages[i];
        kms__v1__tag__init(pointers[i]);
        pointers[i]->tag_key = kms_borrow_text(tags[i].key);
        pointers[i]->tag_value = kms_borrow_text(tags[i].value);
    }
    return pointers;
}

/* A call whose request could be filled, or the words why not. */
static bool run(kms_client *client, const struct kms_call_options *options, struct kms_unary *call,
                struct kms_secret_written **ret_written, struct kms_error *error)
{
    void *result = NULL;
    if (!kms_unary_one(client, options, call, &result, error)) return false;
    *ret_written = result;
    return true;
}

static bool refused(kms_err err, const struct kms_why *why, struct kms_error *error)
{
    if (kms_failed(err)) kms_error_local(error, err, why);
    return kms_failed(err);
}

static void fill_create(const struct kms_create_secret_request *request,
                        Kms__V1__CreateSecretRequest *message)
{
    kms__v1__create_secret_request__init(message);
    message->name = kms_borrow_text(request->name);
    message->client_request_token = kms_borrow_text(request->client_request_token);
    message->description = kms_borrow_text(request->description);
    message->kms_key_id = kms_borrow_text(request->kms_key_id);
    message->resource_policy = kms_borrow_text(request->resource_policy);
    message->bypass_policy_lockout_safety_check = request->bypass_policy_lockout_safety_check;
}

bool kms_client_create_secret(kms_client *client, const struct kms_create_secret_request *request,
                              const struct kms_call_options *options, struct kms_secret_written **ret_written,
                              struct kms_error *error)
{
    Kms__V1__CreateSecretRequest message;
    OWN_VALUE value = {.text = NULL};
    struct kms_why why = {{0}};
    fill_create(request, &message);
    if (request->value.data != NULL) {
        if (refused(fill_value(&value, request->value, request->binary, &why), &why, error)) return false;
        message.value = &value.message;
    }
    Kms__V1__Tag **tags = fill_tags(request->tags, request->tag_count);
    if (refused(tags != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY), NULL, error)) return false;
    message.n_tags = request->tag_count;
    message.tags = tags;
    struct kms_unary call = {.rpc = KMS_RPC_CREATE_SECRET,
                             .request = &message.base,
                             .has_token = has_text(request->client_request_token)};
    bool ok = run(client, options, &call, ret_written, error);
    free(tags);
    return ok;
}

bool kms_client_put_secret_value(kms_client *client, const struct kms_put_secret_request *request,
                                 const struct kms_call_options *options,
                                 struct kms_secret_written **ret_written, struct kms_error *error)
{
    Kms__V1__PutSecretValueRequest message;
    OWN_VALUE value = {.text = NULL};
    struct kms_why why = {{0}};
    kms__v1__put_secret_value_request__init(&message);
    message.secret_id = kms_borrow_text(request->secret_id);
    message.client_request_token = kms_borrow_text(request->client_request_token);
    message.n_version_stages = request->version_stage_count;
    /* read only: protobuf-c's members are not const though packing only reads them */
    message.version_stages = (char **)(uintptr_t)request->version_stages;
    if (refused(fill_value(&value, request->value, request->binary, &why), &why, error)) return false;
    message.value = &value.message;
    struct kms_unary call = {.rpc = KMS_RPC_PUT_SECRET_VALUE,
                             .request = &message.base,
                             .has_token = has_text(request->client_request_token)};
    return run(client, options, &call, ret_written, error);
}

bool kms_client_get_random_password(kms_client *client, const struct kms_random_password_request *request,
                                    const struct kms_call_options *options, kms_plaintext **ret_password,
                                    struct kms_error *error)
{
    Kms__V1__GetRandomPasswordRequest message;
    kms__v1__get_random_password_request__init(&message);
    message.password_length = request->length;
    message.exclude_characters = kms_borrow_text(request->exclude_characters);
    message.exclude_numbers = request->exclude_numbers;
    message.exclude_punctuation = request->exclude_punctuation;
    message.exclude_uppercase = request->exclude_uppercase;
    message.exclude_lowercase = request->exclude_lowercase;
    message.include_space = request->include_space;
    message.do_not_require_each_included_type = request->not_each_type;
    struct kms_unary call = {.rpc = KMS_RPC_GET_RANDOM_PASSWORD, .request = &message.base};
    void *result = NULL;
    if (!kms_unary_one(client, options, &call, &result, error)) return false;
    *ret_password = result;
    return true;
}

static void fill_get(const struct kms_get_secret_request *request, Kms__V1__GetSecretValueRequest *message)
{
    kms__v1__get_secret_value_request__init(message);
    message->secret_id = kms_borrow_text(request->secret_id);
    message->version_stage = kms_borrow_text(request->version_stage);
    message->version_id = kms_borrow_text(request->version_id);
}

static bool get_all(kms_client *client, struct kms_secret_item *items, size_t count, uint32_t in_flight,
                    const struct kms_call_options *options)
{
    Kms__V1__GetSecretValueRequest *messages = calloc(count, sizeof *messages);
    struct kms_unary *calls = calloc(count, sizeof *calls);
    const bool memory = messages != NULL && calls != NULL;
    bool ok = memory;
    for (size_t i = 0; memory && i < count; i++) {
        fill_get(&items[i].request, &messages[i]);
        calls[i] = (struct kms_unary){.rpc = KMS_RPC_GET_SECRET_VALUE, .request = &messages[i].base};
    }
    if (memory) ok = kms_unary_run(client, options, calls, count, in_flight);
    for (size_t i = 0; i < count; i++) {
        items[i].result = memory ? calls[i].result : NULL;
        if (memory)
            items[i].error = calls[i].error;
        else
            kms_error_local(&items[i].error, KMS_FAIL(NO_MEMORY), NULL);
    }
    free(messages);
    free(calls);
    return ok;
}

bool kms_client_get_secret_values(kms_client *client, struct kms_secret_item *items, size_t count,
                                  uint32_t in_flight, const struct kms_call_options *options,
                                  struct kms_error *error)
{
    kms_error_clear(error);
    if (count == 0 || get_all(client, items, count, in_flight, options)) return true;
    size_t first = 0;
    while (first + 1 < count && items[first].error.code == 0) first++;
    if (error != NULL) *error = items[first].error;
    return false;
}

bool kms_client_get_secret_value(kms_client *client, const struct kms_get_secret_request *request,
                                 const struct kms_call_options *options, struct kms_secret_value **ret_value,
                                 struct kms_error *error)
{
    struct kms_secret_item item = {.request = *request};
    if (!kms_client_get_secret_values(client, &item, 1, 1, options, error)) return false;
    *ret_value = item.result;
    return true;
}
