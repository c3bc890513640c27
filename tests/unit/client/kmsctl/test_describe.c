/* The shapes of what -o json prints: scripts stand on them. */
#include "client/kmsctl/describe.h"

#include <stdlib.h>

#include "client/kmsctl/output.h"
#include "tests/harness/suite.h"

static void prints(json_t *value, const char *want)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    char *text = json_dumps(value, JSON_COMPACT);
    if (strcmp(text, want) != 0) printf("%s\n", text);
    CU_ASSERT_STRING_EQUAL(text, want);
    free(text);
    json_decref(value);
}

static void key(void)
{
    const char *aliases[] = {"alias/a"};
    struct kms_key_version version = {.version = 1, .creation_time_us = 1000000, .root_id = 2};
    struct kms_key_metadata metadata = {.key_id = "id",
                                        .arn = "arn",
                                        .description = "bad \xff utf-8",
                                        .creation_time_us = 1000000,
                                        .state = KMS_KEY_ENABLED,
                                        .protection_level = KMS_PROTECTION_SOFTWARE,
                                        .current_version = 1,
                                        .aliases = aliases,
                                        .alias_count = 1,
                                        .versions = &version,
                                        .version_count = 1,
                                        .key_spec = "SYMMETRIC_DEFAULT",
                                        .key_usage = "ENCRYPT_DECRYPT",
                                        .material_exposure = "in the token"};
    prints(ctl_describe_key(&metadata),
           "{\"key_id\":\"id\",\"arn\":\"arn\",\"state\":\"ENABLED\",\"description\":\"bad ? utf-8\","
           "\"key_spec\":\"SYMMETRIC_DEFAULT\",\"key_usage\":\"ENCRYPT_DECRYPT\",\"protection_level\":"
           "\"SOFTWARE\","
           "\"current_version\":1,\"creation_time\":\"1970-01-01T00:00:01.000000Z\","
           "\"material_exposure\":\"in the token\",\"aliases\":[\"alias/a\"],"
           "\"versions\":[{\"version\":1,\"creation_time\":\"1970-01-01T00:00:01.000000Z\",\"root_id\":2}]}");
}

static void every_state_has_its_name(void)
{
    static const char *const names[] = {"UNKNOWN",        "ENABLED",     "DISABLED", "PENDING_DELETION",
                                        "PENDING_IMPORT", "UNAVAILABLE", "UNKNOWN"};
    for (unsigned state = 0; state < KMS_COUNT(names); state++) {
        const struct kms_key_metadata metadata = {.state = (enum kms_key_state)state,
                                                  .key_id = "id",
                                                  .arn = "arn",
                                                  .description = "",
                                                  .key_spec = "RSA_2048",
                                                  .key_usage = "SIGN_VERIFY",
                                                  .material_exposure = ""};
        json_t *value = ctl_describe_key(&metadata);
        CU_ASSERT_STRING_EQUAL_FATAL(json_string_value(json_object_get(value, "state")), names[state]);
        json_decref(value);
    }
}

static void lists(void)
{
    prints(ctl_describe_alias(&(struct kms_alias_entry){"alias/a", "arn", "id"}),
           "{\"alias\":\"alias/a\",\"target_key_id\":\"id\",\"arn\":\"arn\"}");
}

static void data_key(void)
{
    struct kms_data_key_result result = {
        .ciphertext = {.data = (const uint8_t *)"abc", .len = 3}, .key_arn = "arn", .key_version = 4};
    prints(ctl_describe_data_key(&result),
           "{\"key_arn\":\"arn\",\"key_version\":4,\"ciphertext_blob\":\"kms:v1:YWJj\"}");
}

static void status(void)
{
    const char *warnings[] = {"w"}, *troubles[] = {"t1", "t2"};
    struct kms_capability capability = {.name = "aes", .available = false, .reason = "no"};
    struct kms_status_listener door = {"/run/s", "unix", "sops", "p"};
    struct kms_status s = {.version = "1",
                           .instance_id = "i",
                           .policy_separation = "enforce",
                           .service_policy_sha256 = "h",
                           .hsm_token = "t",
                           .keystore_digest = "d",
                           .audit_head = "a",
                           .audit_writable = true,
                           .warnings = warnings,
                           .warning_count = 1,
                           .audit_troubles = troubles,
                           .audit_trouble_count = 2,
                           .hsm_capabilities = &capability,
                           .hsm_capability_count = 1,
                           .listeners = &door,
                           .listener_count = 1};
    json_t *value = ctl_describe_status(&s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    CU_ASSERT_EQUAL(json_object_size(value), 20);
    CU_ASSERT_TRUE(json_is_true(json_object_get(value, "audit_writable")));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(value, "warnings"), 0)), "w");
    const json_t *listed = json_object_get(value, "audit_troubles");
    CU_ASSERT_EQUAL(json_array_size(listed), 2);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(listed, 1)), "t2");
    const json_t *place = json_array_get(json_object_get(value, "listeners"), 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(place, "transport")), "unix");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(place, "default_principal")), "p");
    json_decref(value);
}

static void context(void)
{
    char name[] = "n", endpoint[] = "e", none[] = "";
    struct kmsctl_context c = {.name = name,
                               .endpoint = endpoint,
                               .ca = none,
                               .cert = none,
                               .key = none,
                               .server_name = none,
                               .audit_dir = none};
    prints(ctl_describe_context(&c),
           "{\"name\":\"n\",\"endpoint\":\"e\",\"ca\":\"\",\"cert\":\"\",\"key\":\"\","
           "\"server_name\":\"\",\"audit_dir\":\"\"}");
}

KMS_TEST_MAIN("client/kmsctl/describe", {"key", key}, {"every state has its name", every_state_has_its_name},
              {"lists", lists}, {"data key", data_key}, {"status", status}, {"context", context})
