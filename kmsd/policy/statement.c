/* Reads one statement: its elements, what is missing, what is too much. */
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/compile.h"
#include "kmsd/policy/match.h"

static const char *const element_names[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                            "NotAction", "Resource", "NotResource", "Condition"};
enum { ELEMENT_COUNT = sizeof element_names / sizeof *element_names };

static kms_err check_elements(const struct kms_compile *compile, json_t *json)
{
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < ELEMENT_COUNT; i++) known = known || strcmp(name, element_names[i]) == 0;
        if (!known)
            return kms_complain(compile, "unknown element '%s'%s", kms_show(kms_bytes_text(name)).text,
                                kms_similar(kms_bytes_text(name), element_names, ELEMENT_COUNT).text);
    }
    return KMS_OK;
}

/* Exactly one of an element and its Not- twin. */
static kms_err one_of(const struct kms_compile *compile, json_t *json, const char *plain, const char *negated,
                      json_t **ret_value, bool *ret_negated)
{
    json_t *value = json_object_get(json, plain), *other = json_object_get(json, negated);
    if (value != NULL && other != NULL)
        return kms_complain(compile, "%s and %s exclude each other", plain, negated);
    if (value == NULL && other == NULL) return kms_complain(compile, "%s is missing", plain);
    *ret_negated = other != NULL;
    *ret_value = other != NULL ? other : value;
    return KMS_OK;
}

static kms_err read_sid(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *sid = json_object_get(json, "Sid");
    char number[16];
    if (sid != NULL && !json_is_string(sid)) return kms_complain(compile, "Sid must be a string");
    struct kms_bytes name = sid == NULL ? kms_bytes_of(NULL, 0) : kms_json_text(sid);
    if (name.len >= KMS_SID_BYTES)
        return kms_complain(compile, "Sid is longer than %d bytes", KMS_SID_BYTES - 1);
    if (!kms_text_printable(name)) return kms_complain(compile, "Sid has a character that cannot be printed");
    if (name.len > 0 && name.ptr[0] == '#')
        return kms_complain(compile, "Sid must not begin with '#': that marks statements without one");
    compile->sid = name;
    if (name.len == 0) {
        int len = snprintf(number, sizeof number, "#%zu", compile->number);
        name = kms_bytes_of(number, (size_t)len);
    }
    KMS_TRY(kms_pool_copy(&compile->policy->pool, name, &name));
    statement->name = (const char *)name.ptr;
    return KMS_OK;
}

static kms_err read_effect(const struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *effect = json_object_get(json, "Effect");
    if (effect == NULL) return kms_complain(compile, "Effect is missing");
    const char *text = json_is_string(effect) ? json_string_value(effect) : "";
    statement->deny = strcmp(text, "Deny") == 0;
    if (!statement->deny && strcmp(text, "Allow") != 0)
        return kms_complain(compile, "Effect must be \"Allow\" or \"Deny\"");
    return KMS_OK;
}

static kms_err read_action(const struct kms_compile *compile, struct kms_bytes text, uint64_t *actions)
{
    const char *names[KMS_ACT_COUNT];
    for (enum kms_action action = 0; action < KMS_ACT_COUNT; action++)
        names[action] = kms_action_name(action);
    bool ours = text.len > 4 && kms_folded_equal(kms_bytes_of(text.ptr, 4), kms_bytes_text("kms:"));
    if (!ours && !kms_bytes_equal(text, kms_bytes_text("*")))
        return kms_complain(compile, "action '%s' is not of this service: it must begin with 'kms:'",
                            kms_show(text).text);
    uint64_t bits = kms_action_pattern_bits(text);
    if (bits == 0)
        return kms_complain(compile, "unknown action '%s'%s", kms_show(text).text,
                            kms_similar(text, names, KMS_ACT_COUNT).text);
    *actions |= bits;
    return KMS_OK;
}

static kms_err read_actions(const struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *list = NULL;
    uint64_t actions = 0;
    KMS_TRY(one_of(compile, json, "Action", "NotAction", &list, &statement->not_action));
    if (kms_json_list_len(list) == 0) return kms_complain(compile, "the list of actions is empty");
    for (size_t i = 0; i < kms_json_list_len(list); i++) {
        json_t *item = kms_json_list_at(list, i);
        if (!json_is_string(item)) return kms_complain(compile, "an action must be a string");
        KMS_TRY(read_action(compile, kms_json_text(item), &actions));
    }
    statement->actions = statement->not_action ? KMS_ALL_ACTIONS & ~actions : actions;
    if (statement->actions == 0)
        return kms_complain(compile, "NotAction leaves no action: the statement could never apply");
    return KMS_OK;
}

static kms_err read_resource(struct kms_compile *compile, struct kms_bytes text,
                             struct kms_statement *statement, struct kms_bytes *resources)
{
    struct kms_bytes arn, parts[KMS_ARN_PARTS];
    if (kms_bytes_equal(text, kms_bytes_text("*"))) {
        statement->any_resource = true;
        return KMS_OK;
    }
    KMS_TRY(kms_compile_arn(compile, text, &arn));
    if (!kms_arn_split(arn, parts) || !kms_bytes_equal(parts[2], kms_bytes_text("kms")))
        return kms_complain(compile,
                            "resource '%s' is not a key: its service must be 'kms', without a wildcard",
                            kms_show(text).text);
    resources[statement->resource_count++] = arn;
    return KMS_OK;
}

static kms_err read_resources(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *list = NULL;
    if (json_object_get(json, "Resource") == NULL && json_object_get(json, "NotResource") == NULL)
        return kms_complain(
            compile,
            "Resource is missing: without it the statement has no effect; write \"Resource\": \"*\"");
    KMS_TRY(one_of(compile, json, "Resource", "NotResource", &list, &statement->not_resource));
    size_t count = kms_json_list_len(list);
    if (count == 0) return kms_complain(compile, "the list of resources is empty");
    struct kms_bytes *resources = kms_pool_alloc(&compile->policy->pool, count * sizeof *resources);
    if (resources == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        json_t *item = kms_json_list_at(list, i);
        if (!json_is_string(item)) return kms_complain(compile, "a resource must be a string");
        KMS_TRY(read_resource(compile, kms_json_text(item), statement, resources));
    }
    if (statement->any_resource && statement->not_resource)
        return kms_complain(compile, "NotResource \"*\" leaves no resource: the statement could never apply");
    statement->resources = resources;
    return KMS_OK;
}

kms_err kms_compile_statement(struct kms_compile *compile, json_t *json, struct kms_statement *ret_statement)
{
    struct kms_statement statement = {.name = NULL};
    json_t *principals = NULL;
    if (!json_is_object(json)) return kms_complain(compile, "must be an object");
    KMS_TRY(read_sid(compile, json, &statement)); /* first: the complaints that follow name it */
    KMS_TRY(check_elements(compile, json));
    KMS_TRY(read_effect(compile, json, &statement));
    KMS_TRY(one_of(compile, json, "Principal", "NotPrincipal", &principals, &statement.not_principal));
    const char *element = statement.not_principal ? "NotPrincipal" : "Principal";
    KMS_TRY(kms_compile_principals(compile, element, principals, &statement));
    KMS_TRY(read_actions(compile, json, &statement));
    KMS_TRY(read_resources(compile, json, &statement));
    KMS_TRY(kms_compile_conditions(compile, json_object_get(json, "Condition"), &statement));
    *ret_statement = statement;
    return KMS_OK;
}
