/* Requests as approvers read them: what is set, under its name; bytes never in clear. */
#include "kmsd/service/request_json.h"

#include <string.h>

#include "kms/v1/approvals.pb-c.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "tests/harness/suite.h"

static void is(const ProtobufCMessage *message, const char *want)
{
    KMS_OWN_BUF out = {0};
    KMS_ASSERT_OK_FATAL(kms_request_json(message, &out));
    CU_ASSERT_STRING_EQUAL((const char *)out.data, want);
}

static void what_is_set(void)
{
    Kms__V1__PutKeyPolicyRequest policy;
    kms__v1__put_key_policy_request__init(&policy);
    is(&policy.base, "{}");
    policy.key_id = (char[]){"alias/a"};
    policy.policy = (char[]){"{\"Sid\":\"M\u00fcller\"}\n"};
    is(&policy.base, "{\"key_id\":\"alias/a\",\"policy\":\"{\\\"Sid\\\":\\\"M\u00fcller\\\"}\\n\"}");
    policy.bypass_policy_lockout_safety_check = true;
    policy.expected_revision = 7;
    is(&policy.base, "{\"key_id\":\"alias/a\",\"policy\":\"{\\\"Sid\\\":\\\"M\u00fcller\\\"}\\n\","
                     "\"bypass_policy_lockout_safety_check\":true,\"expected_revision\":7}");
}

static void enums_by_name(void)
{
    Kms__V1__CreateKeyRequest create;
    kms__v1__create_key_request__init(&create);
    create.protection_level = KMS__V1__PROTECTION_LEVEL__PROTECTION_LEVEL_SOFTWARE;
    is(&create.base, "{\"protection_level\":\"PROTECTION_LEVEL_SOFTWARE\"}");
    create.protection_level = (Kms__V1__ProtectionLevel)99; /* a newer client's */
    is(&create.base, "{\"protection_level\":99}");
}

static void messages_inside(void)
{
    Kms__V1__PutApprovalRuleRequest put;
    Kms__V1__ApprovalRule rule;
    char *names[] = {(char[]){"a"}, (char[]){"b"}};
    kms__v1__put_approval_rule_request__init(&put);
    kms__v1__approval_rule__init(&rule);
    put.key_id = (char[]){"k"};
    put.approval_rule = &rule;
    is(&put.base, "{\"key_id\":\"k\",\"approval_rule\":{}}");
    rule.required = 2;
    rule.principals = names;
    rule.n_principals = 2;
    is(&put.base, "{\"key_id\":\"k\",\"approval_rule\":{\"required\":2,\"principals\":[\"a\",\"b\"]}}");
}

static void bytes_are_not_shown(void)
{
    uint8_t secret[] = "abc";
    Kms__V1__EncryptRequest__EncryptionContextEntry entry, *entries[] = {&entry};
    Kms__V1__EncryptRequest encrypt;
    kms__v1__encrypt_request__init(&encrypt);
    kms__v1__encrypt_request__encryption_context_entry__init(&entry);
    encrypt.plaintext = (ProtobufCBinaryData){.data = secret, .len = 3};
    /* SHA-256 of "abc": FIPS 180-4's own example */
    is(&encrypt.base, "{\"plaintext\":{\"bytes\":3,\"sha256\":"
                      "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}}");
    encrypt.plaintext.len = 0;
    entry.key = (char[]){"app"};
    entry.value = (char[]){"web"};
    encrypt.encryption_context = entries;
    encrypt.n_encryption_context = 1;
    is(&encrypt.base, "{\"encryption_context\":[{\"key\":\"app\",\"value\":\"web\"}]}");
}

KMS_TEST_MAIN("service/request_json", {"what is set", what_is_set}, {"enums by name", enums_by_name},
              {"messages inside", messages_inside}, {"bytes are not shown", bytes_are_not_shown})
