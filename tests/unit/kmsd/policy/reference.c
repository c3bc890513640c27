/* Evaluates a document by walking its JSON, with the C library's fnmatch, strptime, strtod and inet_pton. */
#include "tests/unit/kmsd/policy/reference.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { VALUES_MOST = 70, TEXT_MOST = 256 };

struct values {
    size_t count;
    char text[VALUES_MOST][TEXT_MOST];
};

static void add(struct values *values, struct kms_bytes text)
{
    if (text.ptr == NULL) return;
    if (values->count == VALUES_MOST || text.len >= TEXT_MOST) abort();
    snprintf(values->text[values->count++], TEXT_MOST, "%.*s", (int)text.len, (const char *)text.ptr);
}

static void list_of(json_t *json, struct values *values)
{
    values->count = 0;
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_is_array(json) ? json_array_get(json, i) : json;
        add(values, kms_bytes_of(json_string_value(item), json_string_length(item)));
    }
}

static bool lists(json_t *json, const char *text)
{
    struct values values;
    list_of(json, &values);
    for (size_t i = 0; i < values.count; i++)
        if (strcmp(values.text[i], text) == 0) return true;
    return false;
}

/* The account of an IAM or STS ARN, "" of anybody else. */
static void account_of(const char *principal, char account[TEXT_MOST])
{
    account[0] = '\0';
    if (sscanf(principal, "arn:aws:iam::%255[^:]:", account) != 1)
        (void)sscanf(principal, "arn:aws:sts::%255[^:]:", account);
}

/* Does a name of the document mean this principal? An account means all of it, but only to be denied. */
static bool means(const char *name, const char *principal, bool deny)
{
    char root[TEXT_MOST + 32], account[TEXT_MOST];
    account_of(principal, account);
    if (strcmp(name, "*") == 0 || strcmp(name, principal) == 0) return true;
    snprintf(root, sizeof root, "arn:aws:iam::%s:root", account);
    bool named = strcmp(name, root) == 0 || (strlen(name) == 12 && strcmp(name, account) == 0);
    return account[0] != '\0' && named && (deny || strcmp(principal, root) == 0);
}

static bool principal_matches(json_t *statement, const char *principal, bool deny)
{
    json_t *yes = json_object_get(statement, "Principal"), *no = json_object_get(statement, "NotPrincipal");
    json_t *names = yes != NULL ? yes : no;
    struct values list;
    bool listed = false;
    if (json_is_object(names)) names = json_object_get(names, "AWS");
    list_of(names, &list);
    for (size_t i = 0; i < list.count; i++)
        listed = listed || means(list.text[i], principal, deny && yes != NULL);
    return yes != NULL ? listed : !listed;
}

static bool action_matches(json_t *statement, const char *action)
{
    json_t *yes = json_object_get(statement, "Action"), *no = json_object_get(statement, "NotAction");
    struct values patterns;
    bool listed = false;
    list_of(yes != NULL ? yes : no, &patterns);
    for (size_t i = 0; i < patterns.count; i++)
        if (fnmatch(patterns.text[i], action, FNM_CASEFOLD | FNM_NOESCAPE) == 0) listed = true;
    return yes != NULL ? listed : !listed;
}

static void actual_values(const char *key, const struct kms_access_request *r, struct values *values);

/* A literal character, said to fnmatch or not. */
static char *put(char *to, char c, bool glob)
{
    return to + sprintf(to, glob && strchr("*?[", c) != NULL ? "[%c]" : "%c", c);
}

/* Puts in what the request has for "${key}" and "${key, 'default'}". False: nothing. */
static bool substitute(const char *text, bool glob, const struct kms_access_request *request, char *to)
{
    for (; *text != '\0'; text++) {
        char key[TEXT_MOST], otherwise[TEXT_MOST] = "";
        struct values values;
        if (strncmp(text, "${", 2) != 0) {
            *to++ = *text;
            continue;
        }
        const char *end = strchr(text, '}');
        int read = sscanf(text, "${%255[^,}], '%255[^'}]'", key, otherwise);
        text = end;
        if (strlen(key) == 1 && strchr("*?$", key[0]) != NULL) {
            to = put(to, key[0], glob);
            continue;
        }
        actual_values(key, request, &values);
        if (values.count != 1 && read < 2) return false;
        for (const char *c = values.count == 1 ? values.text[0] : otherwise; *c != '\0'; c++)
            to = put(to, *c, glob);
    }
    *to = '\0';
    return true;
}

static bool like(const char *glob, const char *text)
{
    return fnmatch(glob, text, FNM_NOESCAPE) == 0;
}

static bool arn_like(const char *pattern, const char *text)
{
    for (int part = 0; part < 5; part++) {
        char one[TEXT_MOST], other[TEXT_MOST];
        const char *end = strchr(pattern, ':'), *text_end = strchr(text, ':');
        if (end == NULL || text_end == NULL) return false;
        snprintf(one, sizeof one, "%.*s", (int)(end - pattern), pattern);
        snprintf(other, sizeof other, "%.*s", (int)(text_end - text), text);
        if (!like(one, other)) return false;
        pattern = end + 1;
        text = text_end + 1;
    }
    return like(pattern, text);
}

static bool resource_matches(json_t *statement, const char *resource,
                             const struct kms_access_request *request)
{
    json_t *yes = json_object_get(statement, "Resource"), *no = json_object_get(statement, "NotResource");
    struct values patterns;
    bool listed = false;
    list_of(yes != NULL ? yes : no, &patterns);
    for (size_t i = 0; i < patterns.count; i++) {
        char glob[4 * TEXT_MOST];
        if (strcmp(patterns.text[i], "*") == 0) listed = true;
        if (substitute(patterns.text[i], true, request, glob) && arn_like(glob, resource)) listed = true;
    }
    return yes != NULL ? listed : !listed;
}

static bool number_of(const char *text, double *ret_number)
{
    char *end;
    *ret_number = strtod(text, &end);
    return *text != '\0' && *end == '\0' && strspn(text, "+-.0123456789") == strlen(text);
}

static bool date_of(const char *text, double *ret_seconds)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (end == NULL || *end != '\0') return number_of(text, ret_seconds);
    *ret_seconds = (double)timegm(&tm);
    return true;
}

static bool in_block(const char *block, const char *address)
{
    unsigned char want[16], have[16];
    char copy[TEXT_MOST], *slash;
    snprintf(copy, sizeof copy, "%s", block);
    if ((slash = strchr(copy, '/')) != NULL) *slash = '\0';
    int family = strchr(copy, ':') != NULL ? AF_INET6 : AF_INET;
    int bits = slash != NULL ? atoi(slash + 1) : family == AF_INET ? 32 : 128;
    if (inet_pton(family, copy, want) != 1 || inet_pton(family, address, have) != 1) return false;
    for (int i = 0; i < bits; i++)
        if (((want[i / 8] ^ have[i / 8]) & 0x80 >> i % 8) != 0) return false;
    return true;
}

/* Base64 by the book: three bytes make four characters. */
static const char *binary_of(const char *data, char text[4 * TEXT_MOST])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = text;
    for (size_t len = strlen(data), at = 0; at < len; at += 3) {
        unsigned bits = 0;
        for (size_t i = 0; i < 3; i++) bits = bits << 8 | (at + i < len ? (unsigned char)data[at + i] : 0);
        for (size_t i = 0; i < 4; i++) *to++ = at + i > len ? '=' : digits[bits >> (18 - 6 * i) & 63];
    }
    *to = '\0';
    return text;
}

/* Numbers and dates. */
static bool ordered(const char *operator, const char * wanted, const char *actual)
{
    double a, w;
    bool numeric = strncmp(operator, "Numeric", 7) == 0;
    if (!(numeric ? number_of(wanted, &w) && number_of(actual, &a)
                  : date_of(wanted, &w) && date_of(actual, &a)))
        return false;
    if (strstr(operator, "LessThanEquals") != NULL) return a <= w;
    if (strstr(operator, "LessThan") != NULL) return a < w;
    if (strstr(operator, "GreaterThanEquals") != NULL) return a >= w;
    return strstr(operator, "GreaterThan") != NULL ? a > w : a == w;
}

/* "StringNotLike" is asked as "StringLike". */
static bool matches(const char *operator, const char * wanted, const char *actual,
                    const struct kms_access_request *request)
{
    char plain[4 * TEXT_MOST], glob[4 * TEXT_MOST];
    if (!substitute(wanted, false, request, plain) || !substitute(wanted, true, request, glob)) return false;
    if (strncmp(operator, "String", 6) == 0) {
        if (strstr(operator, "Like") != NULL) return like(glob, actual);
        return strstr(operator, "IgnoreCase") != NULL ? strcasecmp(plain, actual) == 0
                                                      : strcmp(plain, actual) == 0;
    }
    if (strncmp(operator, "Arn", 3) == 0) return arn_like(glob, actual);
    if (strncmp(operator, "Bool", 4) == 0)
        return strcasecmp(plain, actual) == 0 &&
               (strcasecmp(actual, "true") == 0 || strcasecmp(actual, "false") == 0);
    if (strncmp(operator, "Binary", 6) == 0) return strcmp(wanted, binary_of(actual, plain)) == 0;
    if (strstr(operator, "IpAddress") != NULL) return in_block(wanted, actual);
    return ordered(operator, wanted, actual);
}

static void flag(struct values *values, bool known, bool value)
{
    if (known) add(values, kms_bytes_text(value ? "true" : "false"));
}

static void named_value(const char *key, const char *prefix, const struct kms_pair *pair,
                        struct values *values)
{
    char name[TEXT_MOST];
    snprintf(name, sizeof name, "%s%.*s", prefix, (int)pair->name.len, (const char *)pair->name.ptr);
    if (strcasecmp(key, name) == 0) add(values, pair->value);
}

static void input_values(const char *key, const struct kms_operation_inputs *inputs, struct values *values)
{
    char days[16];
    snprintf(days, sizeof days, "%u", inputs->rotation_period_days);
    if (strcasecmp(key, "kms:GranteePrincipal") == 0) add(values, inputs->grantee_principal);
    if (strcasecmp(key, "kms:RotationPeriodInDays") == 0 && strcmp(days, "0") != 0)
        add(values, kms_bytes_text(days));
    for (size_t i = 0; i < inputs->request_tag_count; i++) {
        named_value(key, "aws:RequestTag/", &inputs->request_tags[i], values);
        if (strcasecmp(key, "aws:TagKeys") == 0) add(values, inputs->request_tags[i].name);
    }
    for (size_t i = 0; i < inputs->removed_tag_key_count; i++)
        if (strcasecmp(key, "aws:TagKeys") == 0) add(values, inputs->removed_tag_keys[i]);
    for (size_t i = 0; i < inputs->grant_operation_count; i++)
        if (strcasecmp(key, "kms:GrantOperations") == 0) add(values, inputs->grant_operations[i]);
}

static void principal_values(const char *key, struct kms_bytes principal, struct values *values)
{
    char text[TEXT_MOST], account[TEXT_MOST];
    snprintf(text, sizeof text, "%.*s", (int)principal.len, (const char *)principal.ptr);
    account_of(text, account);
    const char *slash = strrchr(text, '/');
    bool user = strstr(text, ":user/") != NULL;
    if (account[0] == '\0') return;
    if (strcasecmp(key, "kms:CallerAccount") == 0) add(values, kms_bytes_text(account));
    if (strcasecmp(key, "aws:username") == 0 && user) add(values, kms_bytes_text(slash + 1));
    if (strcasecmp(key, "aws:PrincipalType") == 0)
        add(values, kms_bytes_text(user                            ? "User"
                                   : strstr(text, ":root") != NULL ? "Account"
                                                                   : "AssumedRole"));
}

static void actual_values(const char *key, const struct kms_access_request *r, struct values *values)
{
    const struct {
        const char *key;
        struct kms_bytes value;
    } texts[] = {{"kms:RequestAlias", r->request_alias}, {"kms:KeySpec", r->key_spec},
                 {"kms:ViaService", r->via_service},     {"aws:SourceIp", r->source_ip},
                 {"kms:KeyUsage", r->key_usage},         {"aws:PrincipalArn", r->principal}};
    char number[32];
    values->count = 0;
    snprintf(number, sizeof number, "%llu", (unsigned long long)(r->now_us / 1000000));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcasecmp(key, texts[i].key) == 0) add(values, texts[i].value);
    for (size_t i = 0; i < r->context_count; i++) {
        named_value(key, "kms:EncryptionContext:", &r->context[i], values);
        if (strcasecmp(key, "kms:EncryptionContextKeys") == 0) add(values, r->context[i].name);
    }
    for (size_t i = 0; i < r->resource_tag_count; i++)
        named_value(key, "aws:ResourceTag/", &r->resource_tags[i], values);
    if (r->inputs != NULL) input_values(key, r->inputs, values);
    principal_values(key, r->principal, values);
    if (strcasecmp(key, "aws:CurrentTime") == 0 || strcasecmp(key, "aws:EpochTime") == 0)
        add(values, kms_bytes_text(number));
    bool of_keys = strncmp(kms_action_name(r->action), "kms:", 4) == 0;
    flag(values, of_keys && strcasecmp(key, "kms:MultiRegion") == 0, false);
    if (strcasecmp(key, "aws:SecureTransport") == 0) flag(values, true, r->secure_transport);
    if (strcasecmp(key, "kms:ReEncryptOnSameKey") == 0)
        flag(values, r->reencrypt_on_same_key_known, r->reencrypt_on_same_key);
    if (strcasecmp(key, "kms:BypassPolicyLockoutSafetyCheck") == 0)
        flag(values, r->bypass_lockout_known, r->bypass_lockout);
}

/* One value of the request against all of the document, NOR when negated. */
static bool value_satisfies(const char *operator, const struct values * wanted, const char *actual,
                            const struct kms_access_request *request)
{
    bool negated = strstr(operator, "Not") != NULL;
    bool any = false;
    for (size_t i = 0; i < wanted->count; i++)
        if (matches(operator, wanted->text[i], actual, request)) any = true;
    return negated ? !any : any;
}

static bool holds(const char *name, const char *key, json_t *json, bool deny,
                  const struct kms_access_request *request)
{
    struct values wanted, actual;
    list_of(json, &wanted);
    actual_values(key, request, &actual);
    bool all = strncmp(name, "ForAllValues:", 13) == 0, any = strncmp(name, "ForAnyValue:", 12) == 0;
    const char *operator= all ? name + 13 : any ? name + 12 : name;
    bool if_exists = strstr(operator, "IfExists") != NULL, negated = strstr(operator, "Not") != NULL;
    if (strcmp(operator, "Null") == 0) return lists(json, actual.count == 0 ? "true" : "false");
    if (actual.count == 0) {
        if (if_exists || all) return true;
        return any ? false : negated;
    }
    size_t satisfied = 0;
    for (size_t i = 0; i < actual.count; i++)
        satisfied += value_satisfies(operator, & wanted, actual.text[i], request);
    if (all) return satisfied == actual.count;
    if (any) return satisfied > 0;
    return deny ? satisfied > 0 : satisfied == actual.count;
}

static bool conditions_hold(json_t *conditions, bool deny, const struct kms_access_request *request)
{
    const char *operator, * key;
    json_t *block, *values;
    bool all = true;
    json_object_foreach(conditions, operator, block)
        json_object_foreach(block, key, values) if (!holds(operator, key, values, deny, request)) all = false;
    return all;
}

/* Is an action one that a document with this Id is about? By its name: AWS's roles and leases are ours. */
static bool of_kind(const char *id, const char *action)
{
    bool key = strncmp(action, "kms:", 4) == 0;
    bool role = strstr(action, "DatabaseRole") != NULL || strstr(action, "Lease") != NULL ||
                strstr(action, "Credentials") != NULL || strcmp(action, "secretsmanager:RevokePrefix") == 0;
    return strcmp(id, "key") == 0 ? key : !key && role == (strcmp(id, "role") == 0);
}

enum kms_effect reference_decide(json_t *document, const struct kms_access_request *request)
{
    char principal[TEXT_MOST], resource[TEXT_MOST];
    const char *action = kms_action_name(request->action);
    const char *id = json_string_value(json_object_get(document, "Id"));
    json_t *list = json_object_get(document, "Statement"), *statement;
    size_t i;
    bool allowed = false, denied = false;
    snprintf(principal, sizeof principal, "%.*s", (int)request->principal.len,
             (const char *)request->principal.ptr);
    snprintf(resource, sizeof resource, "%.*s", (int)request->resource.len,
             (const char *)request->resource.ptr);
    json_array_foreach(list, i, statement)
    {
        bool deny = strcmp(json_string_value(json_object_get(statement, "Effect")), "Deny") == 0;
        if (!principal_matches(statement, principal, deny)) continue;
        if (!of_kind(id, action) || !action_matches(statement, action)) continue;
        if (!resource_matches(statement, resource, request)) continue;
        if (!conditions_hold(json_object_get(statement, "Condition"), deny, request)) continue;
        *(deny ? &denied : &allowed) = true;
    }
    return denied ? KMS_DENY_EXPLICIT : allowed ? KMS_ALLOW : KMS_DENY_IMPLICIT;
}
