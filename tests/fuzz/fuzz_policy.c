/* Fuzzes the policy engine: parse, decide some requests, and hold every check to what it promises. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct kms_pair context[] = {
    {{(const uint8_t *)"App", 3}, {(const uint8_t *)"a", 1}},
    {{(const uint8_t *)"n", 1}, {(const uint8_t *)"10", 2}},
};

static const struct kms_bytes items[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"Decrypt", 7}};
static const struct kms_operation_inputs inputs = {
    .signing_algorithm = {(const uint8_t *)"ECDSA_SHA_256", 13},
    .grantee_principal = {(const uint8_t *)"arn:aws:iam::1:role/app", 23},
    .grant_operations = items,
    .grant_operation_count = 2,
    .valid_to_us = UINT64_C(1795348800000000),
    .rotation_period_days = 90,
    .request_tags = context,
    .request_tag_count = 2,
    .removed_tag_keys = items,
    .removed_tag_key_count = 1,
    .secret_version_stage = {(const uint8_t *)"AWSCURRENT", 10},
    .recovery_window_days = 30,
    .force_delete_known = true,
};

static struct kms_access_request request_of(const char *principal, enum kms_action action, bool full)
{
    struct kms_access_request request = {.principal = kms_bytes_text(principal),
                                         .action = action,
                                         .now_us = UINT64_C(1795348800000000),
                                         .secure_transport = full};
    if (!full) return request;
    request.resource = kms_bytes_text("arn:aws:kms:local:1:key/a");
    request.context = context;
    request.context_count = 2;
    request.request_alias = kms_bytes_text("alias/a");
    request.key_spec = kms_bytes_text("SYMMETRIC_DEFAULT");
    request.source_ip = kms_bytes_text("10.0.0.1");
    request.bypass_lockout_known = true;
    request.resource_tags = context;
    request.resource_tag_count = 2;
    request.inputs = &inputs;
    return request;
}

static void decide_all(const kms_policy *policy, bool separated)
{
    static const char *const principals[] = {"p", "arn:aws:iam::1:role/app", "arn:aws:iam::1:user/x/a",
                                             "stranger"};
    for (size_t i = 0; i < sizeof principals / sizeof *principals; i++) {
        bool allowed[KMS_CLASS_READ + 1] = {false};
        for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
            for (int full = 0; full < 2; full++) {
                struct kms_access_request request = request_of(principals[i], action, full != 0);
                struct kms_decision decision = kms_policy_decide(policy, &request);
                if ((decision.statement == NULL) != (decision.effect == KMS_DENY_IMPLICIT)) abort();
                struct kms_decision again = kms_policy_decide(policy, &request);
                if (again.effect != decision.effect || again.statement != decision.statement) abort();
                request.via_service = kms_bytes_text("secretsmanager.local.amazonaws.com");
                (void)kms_policy_decide(policy,
                                        &request); /* which separation leaves to the policy of a secret */
                if (decision.effect == KMS_ALLOW) allowed[kms_action_class_of(action)] = true;
            }
        if (separated && allowed[KMS_CLASS_ADMIN] && allowed[KMS_CLASS_USAGE]) abort();
    }
}

static void check_words(kms_err err, const struct kms_why *why)
{
    size_t len = strnlen(why->text, sizeof why->text);
    if (!kms_failed(err)) return;
    if (len == sizeof why->text || (len == 0 && !kms_is(err, KMS_E_NO_MEMORY))) abort();
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)why->text[i] < 0x20) abort();
}

/* Who passes the check for lock-out can write the next document. */
static void check_lockout(enum kms_policy_kind kind, const kms_policy *policy)
{
    static const struct {
        const char *arn;
        enum kms_action put;
    } rows[KMS_POLICY_KIND_COUNT] = {
        [KMS_POLICY_KEY] = {"arn:aws:kms:local:1:key/a", KMS_ACT_PUT_KEY_POLICY},
        [KMS_POLICY_SECRET] = {"arn:aws:secretsmanager:local:1:secret:app/a-AbCdEf",
                               KMS_ACT_PUT_RESOURCE_POLICY},
        [KMS_POLICY_DATABASE_ROLE] = {"arn:aws:secretsmanager:local:1:role:a", KMS_ACT_PUT_DATABASE_ROLE},
    };
    struct kms_why why = {""};
    if (rows[kind].arn == NULL) return;
    const struct kms_bytes arn = kms_bytes_text(rows[kind].arn);
    kms_err err = kms_policy_check_lockout(policy, kms_bytes_text("p"), arn, &why);
    check_words(err, &why);
    struct kms_access_request put = request_of("p", rows[kind].put, false);
    put.resource = arn;
    put.secure_transport = put.bypass_lockout_known = true;
    if (!kms_failed(err) && kms_policy_decide(policy, &put).effect != KMS_ALLOW) abort();
}

static void parse_as(enum kms_policy_kind kind, struct kms_bytes text)
{
    struct kms_why why = {""};
    KMS_OWN(kms_policy) policy = NULL;
    kms_err err = kms_policy_parse(kind, text, &policy, &why);
    check_words(err, &why);
    if (kms_failed(err) != (policy == NULL)) abort();
    if (policy == NULL) return;
    kms_err separated = kms_policy_check_separation(policy, &why);
    check_words(separated, &why);
    decide_all(policy, !kms_failed(separated));
    check_lockout(kind, policy);
    check_words(kms_policy_check_users_within(policy, policy, &why), &why);
    check_words(kms_policy_check_users_within(policy, NULL, &why), &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    for (enum kms_policy_kind kind = 0; kind < KMS_POLICY_KIND_COUNT; kind++)
        parse_as(kind, kms_bytes_of(data, len));
    return 0;
}
