/* SecretService: what is sent is what was given, and values come back in locked memory. */
#include <kms/secrets.h>

#include "client/lib/message.h"
#include "client/lib/rpc.h"
#include "kms/v1/secrets.pb-c.h"
#include "last_call.h"
#include "tests/harness/faults.h"

static struct kms_blob blob(const char *text)
{
    return (struct kms_blob){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void create(void)
{
    static const struct kms_tag tags[] = {{"team", "web"}, {"tier", ""}};
    struct kms_create_secret_request request = {.name = "prod/db",
                                                .value = {(const uint8_t *)"p wX", 3}, /* no NUL behind it */
                                                .client_request_token = "t",
                                                .description = "d",
                                                .kms_key_id = "k",
                                                .resource_policy = "{}",
                                                .tags = tags,
                                                .tag_count = 2,
                                                .bypass_policy_lockout_safety_check = true};
    struct kms_secret_written *none;
    begin(NULL);
    CU_ASSERT_FALSE(kms_client_create_secret(client, &request, NULL, &none, NULL));
    CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1.SecretService/CreateSecret");
    Kms__V1__CreateSecretRequest *sent = DECODED(create_secret_request);
    CU_ASSERT_STRING_EQUAL(sent->name, "prod/db");
    CU_ASSERT_STRING_EQUAL(sent->value->secret_string, "p w");
    CU_ASSERT_STRING_EQUAL(sent->client_request_token, "t");
    CU_ASSERT_STRING_EQUAL(sent->description, "d");
    CU_ASSERT_STRING_EQUAL(sent->kms_key_id, "k");
    CU_ASSERT_STRING_EQUAL(sent->resource_policy, "{}");
    CU_ASSERT_EQUAL_FATAL(sent->n_tags, 2);
    CU_ASSERT_STRING_EQUAL(sent->tags[0]->tag_value, "web");
    CU_ASSERT_STRING_EQUAL(sent->tags[1]->tag_key, "tier");
    CU_ASSERT(sent->bypass_policy_lockout_safety_check);
    FREE(create_secret_request, sent);

    request = (struct kms_create_secret_request){.name = "empty"};
    CU_ASSERT_FALSE(kms_client_create_secret(client, &request, NULL, &none, NULL));
    sent = DECODED(create_secret_request);
    CU_ASSERT_PTR_NULL(sent->value);
    FREE(create_secret_request, sent);
    end();
}

static void put(void)
{
    static const char *const stages[] = {"AWSPENDING", "blue"};
    struct kms_put_secret_request request = {.secret_id = "db",
                                             .value = {(const uint8_t *)"\0\xff", 2},
                                             .binary = true,
                                             .client_request_token = "t",
                                             .version_stages = stages,
                                             .version_stage_count = 2};
    Kms__V1__PutSecretValueResponse reply;
    kms__v1__put_secret_value_response__init(&reply);
    reply.arn = kms_borrow_text("a");
    reply.name = kms_borrow_text("db");
    reply.version_id = kms_borrow_text("v");
    begin(&reply.base);
    struct kms_secret_written *written = NULL;
    CU_ASSERT_TRUE_FATAL(kms_client_put_secret_value(client, &request, NULL, &written, NULL));
    CU_ASSERT_STRING_EQUAL(written->arn, "a");
    CU_ASSERT_STRING_EQUAL(written->name, "db");
    CU_ASSERT_STRING_EQUAL(written->version_id, "v");
    kms_secret_written_free(written);
    CU_ASSERT_STRING_EQUAL(last.path, "/kms.v1.SecretService/PutSecretValue");
    Kms__V1__PutSecretValueRequest *sent = DECODED(put_secret_value_request);
    CU_ASSERT_EQUAL(sent->value->value_case, KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY);
    CU_ASSERT_EQUAL(sent->value->secret_binary.len, 2);
    CU_ASSERT_EQUAL_FATAL(sent->n_version_stages, 2);
    CU_ASSERT_STRING_EQUAL(sent->version_stages[1], "blue");
    FREE(put_secret_value_request, sent);
    end();
}

static void refused(struct kms_blob value, bool binary, const char *words)
{
    struct kms_put_secret_request request = {.secret_id = "db", .value = value, .binary = binary};
    struct kms_secret_written *none = NULL;
    struct kms_error error;
    CU_ASSERT_FALSE(kms_client_put_secret_value(client, &request, NULL, &none, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "INVALID_ARGUMENT");
    CU_ASSERT_STRING_EQUAL(error.message, words);
    CU_ASSERT_EQUAL(last.request.len, 0);
}

static void what_cannot_be_stored_is_not_sent(void)
{
    static const char not_text[] = "the value is not UTF-8 without NUL: store it as binary";
    static const uint8_t long_value[KMS_SECRET_VALUE_BYTES + 1];
    static const char too_long[] = "the value has 65537 bytes, and at most 65536 are stored";
    begin(NULL);
    refused((struct kms_blob){(const uint8_t *)"a\0b", 3}, false, not_text);
    refused(blob("\xff"), false, not_text);
    refused((struct kms_blob){long_value, sizeof long_value}, true, too_long);
    refused((struct kms_blob){long_value, sizeof long_value}, false, too_long);
    end();
}

static void fill_reply(Kms__V1__GetSecretValueResponse *reply, Kms__V1__SecretValue *value)
{
    static char current[] = "AWSCURRENT", *stages[] = {current};
    kms__v1__get_secret_value_response__init(reply);
    kms__v1__secret_value__init(value);
    reply->arn = kms_borrow_text("a");
    reply->name = kms_borrow_text("db");
    reply->version_id = kms_borrow_text("v");
    reply->value = value;
    reply->n_version_stages = 1;
    reply->version_stages = stages;
    reply->created_us = 7;
}

static void get(void)
{
    Kms__V1__GetSecretValueResponse reply;
    Kms__V1__SecretValue value;
    fill_reply(&reply, &value);
    value.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_STRING;
    value.secret_string = kms_borrow_text("s3cr3t");
    begin(&reply.base);
    struct kms_secret_item items[2] = {
        {.request = {.secret_id = "db", .version_stage = "S"}},
        {.request = {.secret_id = "db", .version_stage = "S", .version_id = "v"}}};
    CU_ASSERT_TRUE_FATAL(kms_client_get_secret_values(client, items, 2, 1, NULL, NULL));
    for (size_t i = 0; i < 2; i++) {
        const struct kms_secret_value *got = items[i].result;
        CU_ASSERT_EQUAL(kms_plaintext_len(got->value), 6);
        CU_ASSERT_EQUAL(memcmp(kms_plaintext_data(got->value), "s3cr3t", 6), 0);
        CU_ASSERT_FALSE(got->binary);
        CU_ASSERT_STRING_EQUAL(got->version_id, "v");
        CU_ASSERT_EQUAL_FATAL(got->version_stage_count, 1);
        CU_ASSERT_STRING_EQUAL(got->version_stages[0], "AWSCURRENT");
        CU_ASSERT_EQUAL(got->created_us, 7);
        kms_secret_value_free(items[i].result);
    }
    Kms__V1__GetSecretValueRequest *sent = DECODED(get_secret_value_request);
    CU_ASSERT_STRING_EQUAL(sent->secret_id, "db");
    CU_ASSERT_STRING_EQUAL(sent->version_stage, "S");
    FREE(get_secret_value_request, sent);
    end();
}

static void failures_are_told(void)
{
    struct kms_secret_item items[2] = {{.request = {.secret_id = "a"}}, {.request = {.secret_id = "b"}}};
    struct kms_error error;
    begin(NULL);
    CU_ASSERT_FALSE(kms_client_get_secret_values(client, items, 2, 0, NULL, &error));
    CU_ASSERT_STRING_EQUAL(error.reason, "UNSUPPORTED");
    CU_ASSERT_PTR_NULL(items[0].result);
    CU_ASSERT_STRING_EQUAL(items[1].error.reason, "UNSUPPORTED");
    CU_ASSERT_TRUE(kms_client_get_secret_values(client, items, 0, 0, NULL, &error));
    end();
}

static void replies_leak_nothing(void)
{
    Kms__V1__GetSecretValueResponse reply;
    Kms__V1__SecretValue value;
    struct kms_why why;
    void *result = NULL;
    fill_reply(&reply, &value);
    KMS_ASSERT_CODE(kms_take_secret_value(&reply.base, &result, &why), INTERNAL); /* no value */
    value.value_case = KMS__V1__SECRET_VALUE__VALUE_SECRET_BINARY;
    value.secret_binary = kms_borrow_bytes((const uint8_t *)"\0b", 2);
    FAULTS_EACH () {
        struct kms_secret_value *got = NULL;
        kms_err err = kms_take_secret_value(&reply.base, &result, &why);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (!kms_failed(err)) {
            got = result;
            CU_ASSERT(got->binary);
            CU_ASSERT_EQUAL(kms_plaintext_len(got->value), 2);
        }
        kms_secret_value_free(got);
    }
}

static void random_password(void)
{
    Kms__V1__GetRandomPasswordResponse reply;
    kms__v1__get_random_password_response__init(&reply);
    reply.random_password = kms_borrow_text("aB3$");
    begin(&reply.base);
    struct kms_random_password_request request = {
        .length = 4, .exclude_characters = "xy", .exclude_lowercase = true, .not_each_type = true};
    kms_plaintext *password = NULL;
    CU_ASSERT_TRUE_FATAL(kms_client_get_random_password(client, &request, NULL, &password, NULL));
    CU_ASSERT_EQUAL(kms_plaintext_len(password), 4);
    kms_plaintext_free(password);
    Kms__V1__GetRandomPasswordRequest *sent = DECODED(get_random_password_request);
    CU_ASSERT_EQUAL(sent->password_length, 4);
    CU_ASSERT_STRING_EQUAL(sent->exclude_characters, "xy");
    CU_ASSERT(sent->exclude_lowercase && sent->do_not_require_each_included_type && !sent->exclude_numbers);
    FREE(get_random_password_request, sent);
    end();
}

KMS_TEST_MAIN("client/lib/secrets", {"create", create}, {"put", put},
              {"what cannot be stored is not sent", what_cannot_be_stored_is_not_sent}, {"get", get},
              {"failures are told", failures_are_told}, {"replies leak nothing", replies_leak_nothing},
              {"random password", random_password})
