/* Messages and JSON: there and back, and what is refused names the member. */
#include "client/lib/json.h"

#include <stdlib.h>
#include <string.h>

#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/grants.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "tests/harness/suite.h"

static void a_reply_becomes_json(void)
{
    char id[] = "k", name[] = "alias/a", empty[] = "";
    char *aliases[] = {name};
    Kms__V1__KeyVersion version, *versions[] = {&version};
    Kms__V1__KeyMetadata meta;
    Kms__V1__DescribeKeyResponse reply;
    kms__v1__key_version__init(&version);
    kms__v1__key_metadata__init(&meta);
    kms__v1__describe_key_response__init(&reply);
    version.version = 3;
    meta.key_id = id;
    meta.arn = meta.description = meta.material_exposure = empty;
    meta.key_state = KMS__V1__KEY_STATE__KEY_STATE_PENDING_DELETION;
    meta.deletion_time_us = UINT64_C(1700000000000000);
    meta.aliases = aliases;
    meta.n_aliases = 1;
    meta.versions = versions;
    meta.n_versions = 1;
    reply.key_metadata = &meta;
    json_t *json = kms_json_of(&reply.base), *inner = json_object_get(json, "key_metadata");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(inner, "key_state")), "PENDING_DELETION");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(inner, "deletion_time_us")), 1700000000000000);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(inner, "aliases"), 0)),
                           "alias/a");
    json_t *first = json_array_get(json_object_get(inner, "versions"), 0);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(first, "version")), 3);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "cause")), "UNSPECIFIED");
    json_decref(json);
}

static kms_err read_as(const char *text, const ProtobufCMessageDescriptor *type, char **ret_again,
                       struct kms_why *why)
{
    kms_arena arena;
    ProtobufCMessage *message;
    json_t *json = json_loads(text, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    kms_arena_init(&arena, 65536);
    kms_err err = kms_json_to(json, type, &arena, &message, why);
    json_decref(json);
    if (!kms_failed(err)) {
        json = kms_json_of(message);
        *ret_again = json_dumps(json, JSON_COMPACT);
        json_decref(json);
    }
    kms_arena_wipe(&arena);
    return err;
}

static void there_and_back(void)
{
    static const char text[] =
        "{\"ciphertext_blob\":\"AAEC\",\"source_encryption_context\":{\"a\":\"1\",\"b\":\"2\"},\"source_key_"
        "id\":\"\","
        "\"destination_key_id\":\"alias/"
        "x\",\"destination_encryption_context\":{},\"ciphertext_crc32c\":7,\"grant_tokens\":[\"t\"]}";
    char *again = NULL;
    KMS_ASSERT_OK_FATAL(read_as(text, &kms__v1__re_encrypt_request__descriptor, &again, NULL));
    CU_ASSERT_STRING_EQUAL(again, text);
    free(again);
    KMS_ASSERT_OK_FATAL(
        read_as("{\"key_spec\":\"KEY_SPEC_SYMMETRIC_DEFAULT\",\"protection_level\":\"SOFTWARE\"}",
                &kms__v1__create_key_request__descriptor, &again, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(again, "\"key_spec\":\"SYMMETRIC_DEFAULT\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(again, "\"protection_level\":\"SOFTWARE\""));
    free(again);
}

static void lists_of_numbers(void)
{
    static const char text[] =
        "{\"key_id\":\"k\",\"operations\":[\"DECRYPT\",\"GRANT_OPERATION_RE_ENCRYPT_TO\"]}";
    char *again = NULL;
    KMS_ASSERT_OK_FATAL(read_as(text, &kms__v1__create_grant_request__descriptor, &again, NULL));
    CU_ASSERT_PTR_NOT_NULL(strstr(again, "\"operations\":[\"DECRYPT\",\"RE_ENCRYPT_TO\"]"));
    free(again);
}

static void what_is_wrong_is_named(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[]", "a JSON object is wanted"},
        {"{\"key\":1}", "CreateKeyRequest has no member key"},
        {"{\"policy\":1}", "policy: text is wanted"},
        {"{\"key_spec\":\"DEFAULTS\"}", "key_spec: a value of its enum is wanted"},
        {"{\"key_spec\":\"\"}", "key_spec: a value of its enum is wanted"},
        {"{\"bypass_policy_lockout_safety_check\":\"yes\"}",
         "bypass_policy_lockout_safety_check: true or false is wanted"},
    };
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        struct kms_why why = {{0}};
        char *none = NULL;
        KMS_ASSERT_CODE(read_as(cases[i].text, &kms__v1__create_key_request__descriptor, &none, &why),
                        INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, cases[i].words);
    }
    static const char *const lists[] = {"{\"limit\":-1}", "{\"limit\":4294967296}", "{\"limit\":\"1\"}"};
    for (size_t i = 0; i < KMS_COUNT(lists); i++) {
        struct kms_why why = {{0}};
        char *none = NULL;
        KMS_ASSERT_CODE(read_as(lists[i], &kms__v1__list_keys_request__descriptor, &none, &why),
                        INVALID_ARGUMENT);
        CU_ASSERT_STRING_EQUAL(why.text, "limit: a number that is not negative is wanted");
    }
    struct kms_why why = {{0}};
    char *none = NULL;
    KMS_ASSERT_CODE(
        read_as("{\"ciphertext_blob\":\"A\"}", &kms__v1__decrypt_request__descriptor, &none, &why),
        INVALID_ARGUMENT);
    CU_ASSERT_STRING_EQUAL(why.text, "ciphertext_blob: base64 is wanted");
}

static void secrets_are_seen(void)
{
    CU_ASSERT_TRUE(kms_json_secret(&kms__v1__encrypt_request__descriptor));
    CU_ASSERT_TRUE(kms_json_secret(&kms__v1__generate_data_key_response__descriptor));
    CU_ASSERT_FALSE(kms_json_secret(&kms__v1__describe_key_response__descriptor));
    CU_ASSERT_FALSE(kms_json_secret(&kms__v1__re_encrypt_response__descriptor));
}

KMS_TEST_MAIN("client/lib/json", {"a reply becomes JSON", a_reply_becomes_json},
              {"there and back", there_and_back}, {"lists of numbers", lists_of_numbers},
              {"what is wrong is named", what_is_wrong_is_named}, {"secrets are seen", secrets_are_seen})
