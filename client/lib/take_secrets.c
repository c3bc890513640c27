/* Replies of SecretService that carry a value, or say which version was written. */
#include <kms/secrets.h>
#include <string.h>

#include "base/bytes.h"
#include "client/lib/rpc.h"
#include "client/lib/secrets.h"
#include "client/lib/store.h"
#include "kms/v1/secrets.pb-c.h"

static ProtobufCBinaryData text_data(char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

static kms_err data_of(const Kms__V1__SecretValue *value, ProtobufCBinaryData *ret_data, struct kms_why *why)
{
    if (value != NULL && value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING) {
        *ret_data = text_data(value->secret_string);
        return KMS_OK;
    }
    if (value != NULL && value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY) {
        *ret_data = value->secret_binary;
        return KMS_OK;
    }
    kms_why_set(why, "the server answered without a value");
    return KMS_FAIL(INTERNAL);
}

static const char *const *stages_of(void *store, const Kms__V1__GetSecretValueResponse *reply)
{
    const char **stages = kms_store_add(store, reply->n_version_stages, sizeof *stages);
    for (size_t i = 0; stages != NULL && i < reply->n_version_stages; i++)
        stages[i] = kms_store_text(store, reply->version_stages[i]);
    return stages;
}

kms_err kms_take_secret_value(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    const Kms__V1__GetSecretValueResponse *reply = (const Kms__V1__GetSecretValueResponse *)message;
    ProtobufCBinaryData data;
    KMS_TRY(data_of(reply->value, &data, why));
    KMS_OWN(kms_store) store = kms_store_new(sizeof(struct kms_secret_value));
    KMS_OWN(kms_plaintext) plaintext = kms_plaintext_of(data);
    if (store == NULL || plaintext == NULL) return KMS_FAIL(NO_MEMORY);
    struct kms_secret_value *result = store;
    *result = (struct kms_secret_value){
        .binary = reply->value->value_case == KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY,
        .arn = kms_store_text(store, reply->arn),
        .name = kms_store_text(store, reply->name),
        .version_id = kms_store_text(store, reply->version_id),
        .version_stages = stages_of(store, reply),
        .version_stage_count = reply->n_version_stages,
        .created_us = reply->created_us,
    };
    KMS_TRY(kms_store_check(store));
    result->value = KMS_GIVE(plaintext);
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

static kms_err take_written(struct kms_secret_written from, void **ret_result)
{
    KMS_OWN(kms_store) store = kms_store_new(sizeof from);
    if (store == NULL) return KMS_FAIL(NO_MEMORY);
    *(struct kms_secret_written *)store =
        (struct kms_secret_written){.arn = kms_store_text(store, from.arn),
                                    .name = kms_store_text(store, from.name),
                                    .version_id = kms_store_text(store, from.version_id)};
    KMS_TRY(kms_store_check(store));
    *ret_result = KMS_GIVE(store);
    return KMS_OK;
}

kms_err kms_take_created_secret(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__CreateSecretResponse *reply = (const Kms__V1__CreateSecretResponse *)message;
    return take_written((struct kms_secret_written){reply->arn, reply->name, reply->version_id}, ret_result);
}

kms_err kms_take_put_secret(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__PutSecretValueResponse *reply = (const Kms__V1__PutSecretValueResponse *)message;
    return take_written((struct kms_secret_written){reply->arn, reply->name, reply->version_id}, ret_result);
}

kms_err kms_take_password(const ProtobufCMessage *message, void **ret_result, struct kms_why *why)
{
    (void)why;
    const Kms__V1__GetRandomPasswordResponse *reply = (const Kms__V1__GetRandomPasswordResponse *)message;
    kms_plaintext *password = kms_plaintext_of(text_data(reply->random_password));
    if (password == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_result = password;
    return KMS_OK;
}

struct kms_secret_value *kms_secret_value_copy(const struct kms_secret_value *value)
{
    KMS_OWN(kms_store) store = kms_store_new(sizeof *value);
    KMS_OWN(kms_plaintext)
    plaintext =
        kms_plaintext_of((ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)kms_plaintext_data(value->value),
                                               .len = kms_plaintext_len(value->value)});
    struct kms_secret_value *copy = store;
    if (copy == NULL || plaintext == NULL) return NULL;
    const char **stages = kms_store_add(store, value->version_stage_count, sizeof *stages);
    for (size_t i = 0; stages != NULL && i < value->version_stage_count; i++)
        stages[i] = kms_store_text(store, value->version_stages[i]);
    *copy = *value;
    copy->arn = kms_store_text(store, value->arn);
    copy->name = kms_store_text(store, value->name);
    copy->version_id = kms_store_text(store, value->version_id);
    copy->version_stages = stages;
    copy->value = NULL;
    if (kms_failed(kms_store_check(store))) return NULL;
    copy->value = KMS_GIVE(plaintext);
    return KMS_GIVE(store);
}

void kms_secret_value_free(struct kms_secret_value *value)
{
    if (value != NULL) kms_plaintext_free(value->value);
    kms_store_free(value);
}

void kms_secret_written_free(struct kms_secret_written *written)
{
    kms_store_free(written);
}
