/* Builds random documents of the grammar and random requests. */
#include "tests/unit/kmsd/policy/generate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/compiled.h"

#define PICK(array) ((array)[generate_below(sizeof(array) / sizeof(array)[0])])

static uint64_t state;

void generate_seed(uint64_t seed)
{
    state = seed * 2 + 1;
    generate_kind(KMS_POLICY_KEY);
}

unsigned generate_below(unsigned bound) /* xorshift64* */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)(state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % bound;
}

static bool chance(unsigned percent)
{
    return generate_below(100) < percent;
}

static const char *const principals[] = {
    "p",    "q", "arn:aws:iam::1:role/app", "arn:aws:iam::1:role/admin", "arn:aws:iam::2:user/x/a",
    "cn:x", "P", "spiffe://corp/app"};
static const char *const aliases[] = {"alias/a", "alias/b", "alias/app-1", "alias/*", "ALIAS/A", ""};
static const char *const alias_values[] = {"alias/a",
                                           "alias/*",
                                           "alias/app-?",
                                           "*",
                                           "alias/${*}",
                                           "?lias/b",
                                           "Alias/A",
                                           "alias/${kms:EncryptionContext:App}",
                                           "${kms:encryptioncontext:app, 'alias'}/a",
                                           "alias/${aws:username, 'b'}",
                                           "${kms:RequestAlias}",
                                           "?${kms:EncryptionContext:tier}*"};
static const char *const numbers[] = {"5", "10", "-1.5", "1795348800", "0.25", "1795348799"};
static const char *const dates[] = {"2026-11-22T12:00:00Z", "2027-01-01T00:00:00Z", "1795348800",
                                    "1999-12-31T23:59:59Z"};
static const char *const addresses[] = {"10.0.0.1", "10.1.2.3", "192.168.0.9", "2001:db8::1", "fe80::7"};
static const char *const blocks[] = {"10.0.0.0/8", "10.0.0.0/31", "192.168.0.9", "2001:db8::/32",
                                     "::/0",       "0.0.0.0/0",   "10.1.2.0/25"};
static const char *const arns[] = {"arn:aws:iam::1:role/*",
                                   "arn:*:iam:*:?:role/a*",
                                   "arn:aws:iam::2:role/app",
                                   "arn:aws:iam::1:role/app",
                                   "arn:aws:iam::${kms:CallerAccount}:role/app",
                                   "${aws:PrincipalArn}",
                                   "${kms:EncryptionContext:App}"};
static const char *const flags[] = {"true", "false"};
static const char *const flag_values[] = {"true", "false", "${kms:EncryptionContext:App}",
                                          "${kms:MultiRegion}"};
static const char *const binaries[] = {"YQ==", "QQ==", "NQ==", "dHJ1ZQ=="};
static const char *const accounts[] = {"arn:aws:iam::1:root", "arn:aws:iam::2:root", "111122223333"};
static const char *const names[] = {"App", "APP", "tier", "n"};
static const char *const context_values[] = {
    "a", "A", "b", "5", "10", "true", "arn:aws:iam::1:role/app", "alias/a", "10.0.0.1", ""};
static const char *const patterns[] = {"a",
                                       "b",
                                       "*",
                                       "a*",
                                       "?",
                                       "",
                                       "5",
                                       "${kms:EncryptionContext:App}",
                                       "${aws:username, 'a'}",
                                       "${kms:KeySpec}*"};

const char *generate_principal(void)
{
    static const char *const unnamed[] = {"stranger", "arn:aws:iam::1:user/other",
                                          "arn:aws:sts::2:assumed-role/a/b", "arn:aws:iam::1:root",
                                          "111122223333"};
    return chance(20) ? PICK(unnamed) : PICK(principals);
}

/* What goes together: operators, keys, values. */
#define TABLE(array) (array), sizeof(array) / sizeof(array)[0]
static const char *const text_operators[] = {
    "StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase",
    "StringLike",   "StringNotLike"};
static const char *const number_operators[] = {"NumericEquals",      "NumericNotEquals",
                                               "NumericLessThan",    "NumericLessThanEquals",
                                               "NumericGreaterThan", "NumericGreaterThanEquals"};
static const char *const date_operators[] = {"DateEquals",      "DateNotEquals",
                                             "DateLessThan",    "DateLessThanEquals",
                                             "DateGreaterThan", "DateGreaterThanEquals"};
static const char *const arn_operators[] = {"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"};
static const char *const address_operators[] = {"IpAddress", "NotIpAddress"};
static const char *const flag_operators[] = {"Bool"};
static const char *const binary_operators[] = {"BinaryEquals"};
static const char *const null_operators[] = {"Null"};
static const char *const alias_keys[] = {"kms:RequestAlias", "kms:EncryptionContext:App"};
static const char *const text_keys[] = {"kms:EncryptionContext:App", "kms:EncryptionContext:tier",
                                        "kms:KeySpec", "kms:KeyUsage"};
static const char *const who_keys[] = {"aws:PrincipalArn", "kms:EncryptionContext:App",
                                       "kms:GranteePrincipal"};
static const char *const part_keys[] = {"aws:username", "kms:CallerAccount", "aws:PrincipalType"};
static const char *const parts[] = {"a", "1", "2", "User", "AssumedRole", "${kms:EncryptionContext:n}"};
static const char *const number_keys[] = {"aws:EpochTime", "kms:EncryptionContext:n",
                                          "kms:RotationPeriodInDays"};
static const char *const pair_keys[] = {"kms:EncryptionContext:App", "kms:EncryptionContext:n"};
static const char *const tag_keys[] = {"aws:RequestTag/App", "aws:ResourceTag/tier"};
static const char *const service_keys[] = {"kms:ViaService"};
static const char *const services[] = {"secretsmanager.local.amazonaws.com", "a", "*", "secretsmanager.*"};
static const char *const date_keys[] = {"aws:CurrentTime", "aws:EpochTime"};
static const char *const address_keys[] = {"aws:SourceIp", "kms:EncryptionContext:n"};
static const char *const flag_keys[] = {"aws:SecureTransport", "kms:ReEncryptOnSameKey",
                                        "kms:BypassPolicyLockoutSafetyCheck", "kms:EncryptionContext:App"};
static const char *const list_keys[] = {"kms:EncryptionContextKeys", "kms:GrantOperations", "aws:TagKeys"};
static const char *const null_keys[] = {"kms:RequestAlias",
                                        "kms:EncryptionContextKeys",
                                        "kms:EncryptionContext:App",
                                        "kms:GrantIsForAWSResource",
                                        "aws:SourceIp",
                                        "aws:SecureTransport",
                                        "kms:ViaService"};
static const struct family {
    const char *const *operators;
    size_t operator_count;
    const char *const *keys;
    size_t key_count;
    const char *const *values;
    size_t value_count;
} families[] = {
    {TABLE(text_operators), TABLE(alias_keys), TABLE(alias_values)},
    {TABLE(text_operators), TABLE(text_keys), TABLE(patterns)},
    {TABLE(text_operators), TABLE(who_keys), TABLE(principals)},
    {TABLE(text_operators), TABLE(list_keys), TABLE(names)},
    {TABLE(number_operators), TABLE(number_keys), TABLE(numbers)},
    {TABLE(date_operators), TABLE(date_keys), TABLE(dates)},
    {TABLE(arn_operators), TABLE(who_keys), TABLE(arns)},
    {TABLE(address_operators), TABLE(address_keys), TABLE(blocks)},
    {TABLE(flag_operators), TABLE(flag_keys), TABLE(flag_values)},
    {TABLE(binary_operators), TABLE(pair_keys), TABLE(binaries)},
    {TABLE(text_operators), TABLE(part_keys), TABLE(parts)},
    {TABLE(text_operators), TABLE(tag_keys), TABLE(patterns)},
    {TABLE(text_operators), TABLE(service_keys), TABLE(services)},
    {TABLE(null_operators), TABLE(null_keys), TABLE(flags)},
};

static json_t *some_of(const char *const *values, size_t count)
{
    if (chance(60)) return json_string(values[generate_below((unsigned)count)]);
    json_t *list = json_array();
    for (unsigned i = 0, n = 1 + generate_below(3); i < n; i++)
        json_array_append_new(list, json_string(values[generate_below((unsigned)count)]));
    return list;
}

static void add_condition(json_t *conditions, bool upper)
{
    const struct family *family = &PICK(families);
    const char *operator= family->operators[generate_below((unsigned)family->operator_count)];
    const char *key = family->keys[generate_below((unsigned)family->key_count)], *set = "";
    char name[80], key_name[80];
    bool null = strcmp(operator, "Null") == 0, list = family->keys == list_keys;
    list = list || strcmp(key, "kms:EncryptionContextKeys") == 0;
    bool context =
        strncmp(key, "kms:EncryptionContext:", 22) == 0 || strncmp(key, "aws:RequestTag/", 15) == 0;
    if (!null && (list || chance(15))) set = context || chance(50) ? "ForAnyValue:" : "ForAllValues:";
    snprintf(name, sizeof name, "%s%s%s", set, operator, !null && chance(20) ? "IfExists" : "");
    for (size_t i = 0; i <= strlen(key); i++)
        key_name[i] = upper ? (char)toupper((unsigned char)key[i]) : key[i];
    json_t *block = json_object_get(conditions, name);
    if (block == NULL) json_object_set_new(conditions, name, block = json_object());
    json_object_set_new(block, key_name, some_of(family->values, family->value_count));
}

static json_t *generate_who(bool calm)
{
    if (chance(calm ? 5 : 20)) return json_string("*");
    json_t *names_json = some_of(principals, sizeof principals / sizeof *principals);
    if (!calm && chance(5)) names_json = (json_decref(names_json), json_string("*"));
    return json_pack("{s:o}", "AWS", names_json);
}

static void add_who(json_t *statement, bool calm, bool deny)
{
    json_t *who = generate_who(calm), *names_json = json_object_get(who, "AWS");
    const char *only = json_string_value(names_json);
    bool not_who = deny && chance(25);
    if (chance(10)) {
        json_decref(who);
        who = json_pack("{s:o}", "AWS", some_of(TABLE(accounts)));
    } else if (not_who &&
               (only == NULL || strcmp(only, "*") == 0)) { /* a "*" among the names would leave nobody */
        json_decref(who);
        who = json_pack("{s:s}", "AWS", PICK(principals));
    }
    json_object_set_new(statement, not_who ? "NotPrincipal" : "Principal", who);
}

/* What documents of a kind speak of. */
struct kind_words {
    const char *any[12], *admin[4], *usage[4], *but[2], *resources[7];
    const char *things[2]; /* that requests are about */
};
static const struct kind_words kind_words[KMS_POLICY_KIND_COUNT] = {
    [KMS_POLICY_KEY] = {{"*", "kms:*", "kms:Put*", "kms:*crypt*", "KMS:Decrypt", "kms:Generate*",
                         "kms:??crypt", "kms:PutKeyPolicy", "kms:Create*", "kms:*Key", "kms:Sign",
                         "kms:Encrypt"},
                        {"kms:Put*", "kms:PutKeyPolicy", "kms:Create*", "kms:ScheduleKeyDeletion"},
                        {"kms:Decrypt", "kms:*crypt", "kms:Generate*", "kms:Sign"},
                        {"kms:Put*", "kms:*crypt*"},
                        {"*", "arn:aws:kms:local:1:key/a", "arn:*:kms:*:*:key/*", "arn:aws:kms:local:2:key/a",
                         "arn:aws:kms:*:*:key/${kms:EncryptionContext:App}",
                         "arn:aws:kms:*:*:${kms:EncryptionContext:tier, 'key/b'}",
                         "arn:aws:kms:local:1:key/${aws:username}*"},
                        {"arn:aws:kms:local:1:key/a", "arn:aws:kms:local:1:key/b"}},
    [KMS_POLICY_SECRET] = {{"*", "secretsmanager:*", "secretsmanager:Put*", "secretsmanager:*Value",
                            "SecretsManager:GetSecretValue", "secretsmanager:Get*",
                            "secretsmanager:??????Secret", "secretsmanager:PutResourcePolicy",
                            "secretsmanager:Create*", "secretsmanager:*Secret", "secretsmanager:TagResource",
                            "secretsmanager:Describe*"},
                           {"secretsmanager:Put*", "secretsmanager:PutResourcePolicy",
                            "secretsmanager:Create*", "secretsmanager:DeleteSecret"},
                           {"secretsmanager:GetSecretValue", "secretsmanager:Get*",
                            "secretsmanager:GetSecret*", "SecretsManager:getsecretvalue"},
                           {"secretsmanager:Put*", "secretsmanager:*Value"},
                           {"*", "arn:aws:secretsmanager:local:1:secret:a-AbCdEf",
                            "arn:*:secretsmanager:*:*:secret:*",
                            "arn:aws:secretsmanager:local:2:secret:a-AbCdEf",
                            "arn:aws:secretsmanager:*:*:secret:${aws:username}-??????",
                            "arn:aws:secretsmanager:*:*:${aws:username, 'secret:x/b'}-*",
                            "arn:aws:secretsmanager:local:1:secret:x/*"},
                           {"arn:aws:secretsmanager:local:1:secret:a-AbCdEf",
                            "arn:aws:secretsmanager:local:1:secret:x/b-012345"}},
    [KMS_POLICY_DATABASE_ROLE] = {{"*", "secretsmanager:*", "secretsmanager:Put*", "secretsmanager:*Lease",
                                   "SecretsManager:RenewLease", "secretsmanager:Generate*",
                                   "secretsmanager:?????Lease", "secretsmanager:PutDatabaseRole",
                                   "secretsmanager:Revoke*", "secretsmanager:*Role",
                                   "secretsmanager:ListLeases", "secretsmanager:DeleteDatabaseRole"},
                                  {"secretsmanager:Put*", "secretsmanager:PutDatabaseRole",
                                   "secretsmanager:RevokePrefix", "secretsmanager:DeleteDatabaseRole"},
                                  {"secretsmanager:GenerateCredentials", "secretsmanager:*Lease",
                                   "secretsmanager:Renew*", "secretsmanager:RevokeLease"},
                                  {"secretsmanager:Put*", "secretsmanager:*Lease"},
                                  {"*", "arn:aws:secretsmanager:local:1:database-role:a",
                                   "arn:*:secretsmanager:*:*:database-role:*",
                                   "arn:aws:secretsmanager:local:2:database-role:a",
                                   "arn:aws:secretsmanager:*:*:database-role:${aws:username}",
                                   "arn:aws:secretsmanager:*:*:${aws:username, 'database-role:b'}",
                                   "arn:aws:secretsmanager:local:1:database-role:b*"},
                                  {"arn:aws:secretsmanager:local:1:database-role:a",
                                   "arn:aws:secretsmanager:local:1:database-role:b"}},
};
static const struct kind_words *words = &kind_words[KMS_POLICY_KEY];

static enum kms_policy_kind kind(void)
{
    return (enum kms_policy_kind)(words - kind_words);
}

void generate_kind(enum kms_policy_kind of)
{
    words = &kind_words[of];
}

const char *generate_resource(void)
{
    return PICK(words->things);
}

static void add_actions(json_t *statement, bool calm, bool deny)
{
    if (chance(12))
        json_object_set_new(statement, "NotAction", json_string(chance(50) ? words->but[0] : words->but[1]));
    else if (!calm || deny)
        json_object_set_new(statement, "Action", some_of(TABLE(words->any)));
    else
        json_object_set_new(statement, "Action",
                            chance(50) ? some_of(TABLE(words->admin)) : some_of(TABLE(words->usage)));
}

static void add_resources(json_t *statement)
{
    if (chance(5))
        json_object_set_new(statement, "NotResource", json_string(words->things[0]));
    else
        json_object_set_new(statement, "Resource",
                            chance(60) ? json_string("*") : some_of(TABLE(words->resources)));
}

json_t *generate_statement(bool calm)
{
    json_t *statement = json_object();
    bool deny = chance(calm ? 15 : 35);
    json_object_set_new(statement, "Effect", json_string(deny ? "Deny" : "Allow"));
    add_who(statement, calm, deny);
    add_actions(statement, calm, deny);
    add_resources(statement);
    if (chance(calm ? 30 : 60)) {
        json_t *conditions = json_object();
        bool upper = chance(20);
        for (unsigned i = 0, n = 1 + generate_below(3); i < n; i++) add_condition(conditions, upper);
        json_object_set_new(statement, "Condition", conditions);
    }
    return statement;
}

json_t *generate_document(bool calm)
{
    json_t *list = json_array();
    for (unsigned i = 0, n = 1 + generate_below(calm ? 3 : 6); i < n; i++)
        json_array_append_new(list, generate_statement(calm));
    static const char *const ids[] = {
        [KMS_POLICY_KEY] = "key", [KMS_POLICY_SECRET] = "secret", [KMS_POLICY_DATABASE_ROLE] = "role"};
    return json_pack("{s:s, s:s, s:o}", "Version", "2012-10-17", "Id", ids[kind()], "Statement", list);
}

static struct kms_bytes perhaps(const char *text)
{
    return chance(50) ? kms_bytes_text(text) : kms_bytes_of(NULL, 0);
}

void generate_surroundings(struct kms_access_request *request)
{
    static const uint64_t times[] = {1795348800, 1795348799, 1798761600, 5, 10, 4102444800};
    request->source_ip = perhaps(PICK(addresses));
    request->now_us = PICK(times) * 1000000;
    request->key_spec = perhaps(PICK(context_values));
    request->key_usage = perhaps(PICK(context_values));
}

static void generate_inputs(struct generated *generated)
{
    static const struct kms_pair tags[] = {{{(const uint8_t *)"App", 3}, {(const uint8_t *)"a", 1}},
                                           {{(const uint8_t *)"tier", 4}, {(const uint8_t *)"b", 1}},
                                           {{(const uint8_t *)"app", 3}, {(const uint8_t *)"", 0}}};
    static const struct kms_bytes items[] = {
        {(const uint8_t *)"n", 1}, {(const uint8_t *)"App", 3}, {(const uint8_t *)"x", 1}};
    generated->inputs = (struct kms_operation_inputs){
        .grantee_principal = perhaps(PICK(principals)),
        .grant_operations = items,
        .grant_operation_count = generate_below(4),
        .rotation_period_days = generate_below(3) * 5,
        .request_tags = tags,
        .request_tag_count = generate_below(4),
        .removed_tag_keys = items,
        .removed_tag_key_count = generate_below(3),
    };
    if (chance(70)) generated->request.inputs = &generated->inputs;
    generated->request.resource_tags = tags;
    generated->request.resource_tag_count = generate_below(4);
}

/* Now and then one of another kind of document. */
static enum kms_action some_action(void)
{
    enum kms_action action;
    bool other = chance(5);
    do action = (enum kms_action)generate_below(KMS_ACT_COUNT);
    while (!other && (kms_action_kind_bits(kind()) & kms_action_bit(action)) == 0);
    return action;
}

void generate_request(struct generated *ret_generated)
{
    struct kms_access_request *request = &ret_generated->request;
    *request = (struct kms_access_request){.principal = kms_bytes_text(generate_principal()),
                                           .action = some_action(),
                                           .resource = kms_bytes_text(generate_resource()),
                                           .context = ret_generated->pairs,
                                           .request_alias = perhaps(PICK(aliases)),
                                           .via_service = perhaps(PICK(services)),
                                           .secure_transport = chance(80),
                                           .reencrypt_on_same_key_known = chance(50),
                                           .reencrypt_on_same_key = chance(50),
                                           .bypass_lockout_known = chance(50),
                                           .bypass_lockout = chance(50)};
    generate_surroundings(request);
    generate_inputs(ret_generated);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (chance(40))
            ret_generated->pairs[request->context_count++] =
                (struct kms_pair){kms_bytes_text(names[i]), kms_bytes_text(PICK(context_values))};
}
