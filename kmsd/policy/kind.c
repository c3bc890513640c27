/* The kinds of documents: what each is attached to, and what writes it. */
#include <jansson.h>
#include <string.h>

#include "kmsd/policy/compiled.h"
#include "kmsd/policy/input.h"

static const struct kms_kind_row rows[KMS_POLICY_KIND_COUNT] = {
    [KMS_POLICY_KEY] = {"key", "a key policy", "key", "kms", KMS_INPUT_ANY_KEY, KMS_ACT_PUT_KEY_POLICY},
    /* a file of root's: no call writes it */
    [KMS_POLICY_SERVICE] = {"service", "the service policy", "key", "kms", "", KMS_ACT_COUNT},
    [KMS_POLICY_SECRET] = {"secret", "the resource policy of a secret", "secret", "secretsmanager",
                           "arn:aws:secretsmanager:us-east-1:000000000000:secret:any-000000",
                           KMS_ACT_PUT_RESOURCE_POLICY},
    [KMS_POLICY_DATABASE_ROLE] = {"role", "the policy of a database role", "database role", "secretsmanager",
                                  "arn:aws:secretsmanager:us-east-1:000000000000:database-role:any",
                                  KMS_ACT_PUT_DATABASE_ROLE},
};

const struct kms_kind_row *kms_kind_row(enum kms_policy_kind kind)
{
    return &rows[kind];
}

const char *kms_policy_kind_text(enum kms_policy_kind kind)
{
    return rows[kind].text;
}

const char *kms_policy_kind_arn(enum kms_policy_kind kind)
{
    return rows[kind].any_arn;
}

enum kms_policy_kind kms_policy_kind_of(const kms_policy *policy)
{
    return policy->kind;
}

bool kms_policy_kind_find(const char *name, enum kms_policy_kind *ret_kind)
{
    for (enum kms_policy_kind kind = 0; kind < KMS_POLICY_KIND_COUNT; kind++) {
        if (strcmp(rows[kind].name, name) != 0) continue;
        *ret_kind = kind;
        return true;
    }
    return false;
}

/* What an element names; "*" and what is malformed tell nothing. */
static kms_actions told_by(const json_t *element)
{
    const char *text = json_string_value(element);
    kms_actions told = 0;
    for (size_t i = 0; i < json_array_size(element); i++) told |= told_by(json_array_get(element, i));
    return text != NULL && strchr(text, ':') != NULL ? kms_action_pattern_bits(kms_bytes_text(text)) : told;
}

enum kms_policy_kind kms_policy_kind_told(struct kms_bytes document)
{
    static const enum kms_policy_kind tried[] = {KMS_POLICY_KEY, KMS_POLICY_SECRET, KMS_POLICY_DATABASE_ROLE};
    json_t *json = json_loadb((const char *)document.ptr, document.len, 0, NULL);
    json_t *list = json_object_get(json, "Statement");
    kms_actions told = 0;
    size_t count = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *statement = json_is_array(list) ? json_array_get(list, i) : list;
        told |= told_by(json_object_get(statement, "Action"));
        told |= told_by(json_object_get(statement, "NotAction"));
    }
    json_decref(json);
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++)
        if ((told & kms_action_kind_bits(tried[i])) != 0) return tried[i];
    return KMS_POLICY_KEY;
}
