/* Reads one statement: its elements, what is missing, what is too much. */
#include <stdio.h>
#include <string.h>

#include "kmsd/policy/match.h"
#include "kmsd/policy/variable.h"

static const char *const element_names[] = {"Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
                                            "NotAction", "Resource", "NotResource", "Condition"};
enum { ELEMENT_COUNT = sizeof element_names / sizeof *element_names };

static kms_err check_elements(struct kms_compile *compile, json_t *json)
{
    const char *name;
    json_t *value;
    json_object_foreach(json, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < ELEMENT_COUNT; i++) known = known || strcmp(name, element_names[i]) == 0;
        if (known) continue;
        struct kms_bytes text = kms_bytes_text(name);
        kms_enter(compile, name);
        return kms_complain(compile, "unknown element '%s'%s", kms_show(text).text,
                            kms_similar_or(text, element_names, ELEMENT_COUNT, "; remove it").text);
    }
    return KMS_OK;
}

/* Exactly one of an element and its Not- twin. */
static kms_err one_of(struct kms_compile *compile, json_t *json, const char *plain, const char *negated,
                      json_t **ret_value, bool *ret_negated)
{
    json_t *value = json_object_get(json, plain), *other = json_object_get(json, negated);
    if (value != NULL && other != NULL) {
        kms_enter(compile, negated);
        return kms_complain(compile, "%s and %s exclude each other; remove one", plain, negated);
    }
    if (value == NULL && other == NULL)
        return kms_complain(compile, "%s is missing; each statement has one", plain);
    *ret_negated = other != NULL;
    *ret_value = other != NULL ? other : value;
    return KMS_OK;
}

static kms_err read_sid(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *sid = json_object_get(json, "Sid");
    char number[16];
    if (sid != NULL) kms_enter(compile, "Sid");
    if (sid != NULL && !json_is_string(sid)) return kms_complain(compile, "Sid must be a string");
    struct kms_bytes name = sid == NULL ? kms_bytes_of(NULL, 0) : kms_json_text(sid);
    if (name.len >= KMS_SID_BYTES)
        return kms_complain(compile, "Sid is longer than %d bytes; shorten it", KMS_SID_BYTES - 1);
    if (!kms_text_printable(name))
        return kms_complain(compile, "Sid has a character that cannot be printed; remove it");
    if (name.len > 0 && name.ptr[0] == '#')
        return kms_complain(compile, "Sid must not begin with '#': that marks statements without one");
    compile->sid = name;
    if (sid != NULL) kms_leave(compile);
    if (name.len == 0) {
        int len = snprintf(number, sizeof number, "#%zu", compile->number);
        name = kms_bytes_of(number, (size_t)len);
    }
    KMS_TRY(kms_pool_copy(&compile->policy->pool, name, &name));
    statement->name = (const char *)name.ptr;
    return KMS_OK;
}

static kms_err read_effect(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *effect = json_object_get(json, "Effect");
    if (effect == NULL) return kms_complain(compile, "Effect is missing; write \"Allow\" or \"Deny\"");
    kms_enter(compile, "Effect");
    const char *text = json_is_string(effect) ? json_string_value(effect) : "";
    statement->deny = strcmp(text, "Deny") == 0;
    if (!statement->deny && strcmp(text, "Allow") != 0)
        return kms_complain(compile, "Effect must be \"Allow\" or \"Deny\"");
    kms_leave(compile);
    return KMS_OK;
}

/* Does it begin so, with something behind? */
static bool of_prefix(struct kms_bytes text, const char *prefix)
{
    struct kms_bytes front = kms_bytes_text(prefix);
    return text.len > front.len && kms_folded_equal(kms_bytes_of(text.ptr, front.len), front);
}

static const char *prefixes_of(enum kms_policy_kind kind)
{
    if (kind == KMS_POLICY_SERVICE) return "'kms:' or 'secretsmanager:'";
    return kind == KMS_POLICY_KEY ? "'kms:'" : "'secretsmanager:'";
}

/* Where actions belong that another kind of document is about. */
static enum kms_policy_kind home_of(kms_actions actions)
{
    if ((actions & ~kms_action_kind_bits(KMS_POLICY_SERVICE)) == 0) return KMS_POLICY_SERVICE;
    if ((actions & kms_action_kind_bits(KMS_POLICY_KEY)) != 0) return KMS_POLICY_KEY;
    bool of_secrets = (actions & kms_action_kind_bits(KMS_POLICY_SECRET)) != 0;
    return of_secrets ? KMS_POLICY_SECRET : KMS_POLICY_DATABASE_ROLE;
}

static kms_err read_action(const struct kms_compile *compile, struct kms_bytes text, kms_actions *actions)
{
    const struct kms_policy *policy = compile->policy;
    const char *names[KMS_ACT_COUNT];
    size_t name_count = 0;
    for (kms_actions left = policy->every; left != 0; left &= left - 1)
        names[name_count++] = kms_action_name(kms_action_first(left));
    bool ours = of_prefix(text, "kms:") || of_prefix(text, "secretsmanager:");
    if (!ours && !kms_bytes_equal(text, kms_bytes_text("*")))
        return kms_complain(compile, "action '%s' is not of this service: name one that begins with %s",
                            kms_show(text).text, prefixes_of(policy->kind));
    kms_actions bits = kms_action_pattern_bits(text);
    if (bits == 0)
        return kms_complain(compile, "unknown action '%s'%s", kms_show(text).text,
                            kms_similar_or(text, names, name_count, "; remove it").text);
    if ((bits & policy->every) == 0)
        return kms_complain(compile, "action '%s' never applies in %s; put it into %s", kms_show(text).text,
                            kms_policy_kind_text(policy->kind), kms_policy_kind_text(home_of(bits)));
    *actions |= bits & policy->every;
    return KMS_OK;
}

static kms_err read_actions(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *list = NULL;
    kms_actions actions = 0;
    bool negated;
    KMS_TRY(one_of(compile, json, "Action", "NotAction", &list, &negated));
    kms_enter(compile, negated ? "NotAction" : "Action");
    if (kms_json_list_len(list) == 0)
        return kms_complain(compile, "the list of actions is empty; name one, or \"%s\"",
                            compile->policy->kind < KMS_POLICY_SECRET ? "kms:*" : "secretsmanager:*");
    for (size_t i = 0; i < kms_json_list_len(list); i++) {
        json_t *item = kms_json_list_at(list, i);
        kms_enter_item(compile, i);
        if (!json_is_string(item)) return kms_complain(compile, "an action must be a string");
        KMS_TRY(read_action(compile, kms_json_text(item), &actions));
        kms_leave(compile);
    }
    statement->not_action = negated;
    statement->actions = negated ? compile->policy->every & ~actions : actions;
    if (statement->actions == 0)
        return kms_complain(compile,
                            "NotAction leaves no action: the statement could never apply; remove it");
    kms_leave(compile);
    return KMS_OK;
}

static kms_err read_resource(struct kms_compile *compile, struct kms_bytes text,
                             struct kms_statement *statement, struct kms_bytes *resources)
{
    if (kms_bytes_equal(text, kms_bytes_text("*"))) {
        statement->any_resource = true;
        return KMS_OK;
    }
    struct kms_bytes *resource = &resources[statement->resource_count];
    KMS_TRY(kms_compile_resource(compile, text, resource));
    statement->resource_variables = statement->resource_variables || kms_has_variable(*resource);
    statement->resource_count++;
    return KMS_OK;
}

static kms_err read_resources(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    json_t *list = NULL;
    bool negated;
    if (json_object_get(json, "Resource") == NULL && json_object_get(json, "NotResource") == NULL)
        return kms_complain(
            compile,
            "Resource is missing: without it the statement has no effect; write \"Resource\": \"*\"");
    KMS_TRY(one_of(compile, json, "Resource", "NotResource", &list, &negated));
    statement->not_resource = negated;
    size_t count = kms_json_list_len(list);
    kms_enter(compile, statement->not_resource ? "NotResource" : "Resource");
    if (count == 0) return kms_complain(compile, "the list of resources is empty; write \"*\"");
    struct kms_bytes *resources = kms_pool_alloc(&compile->policy->pool, count * sizeof *resources);
    if (resources == NULL) return KMS_FAIL(NO_MEMORY);
    compile->about = KMS_ABOUT_NOTHING;
    for (size_t i = 0; i < count; i++) {
        json_t *item = kms_json_list_at(list, i);
        kms_enter_item(compile, i);
        if (!json_is_string(item)) return kms_complain(compile, "a resource must be a string");
        KMS_TRY(read_resource(compile, kms_json_text(item), statement, resources));
        kms_leave(compile);
    }
    if (statement->any_resource && statement->not_resource)
        return kms_complain(
            compile, "NotResource \"*\" leaves no resource: the statement could never apply; remove it");
    kms_leave(compile);
    statement->resources = resources;
    statement->resource_about = compile->about;
    return KMS_OK;
}

kms_err kms_compile_statement(struct kms_compile *compile, json_t *json, struct kms_statement *ret_statement)
{
    struct kms_statement statement = {.name = NULL};
    json_t *principals = NULL;
    bool negated;
    if (!json_is_object(json)) return kms_complain(compile, "must be an object: {...}");
    KMS_TRY(read_sid(compile, json, &statement)); /* first: the complaints that follow name it */
    KMS_TRY(check_elements(compile, json));
    KMS_TRY(read_effect(compile, json, &statement));
    KMS_TRY(one_of(compile, json, "Principal", "NotPrincipal", &principals, &negated));
    statement.not_principal = negated;
    const char *element = statement.not_principal ? "NotPrincipal" : "Principal";
    kms_enter(compile, element);
    if (statement.not_principal && !statement.deny)
        return kms_complain(compile, "NotPrincipal goes with \"Deny\" only: an Allow with it would be for "
                                     "everybody else; name in Principal whom it is for");
    KMS_TRY(kms_compile_principals(compile, element, principals, &statement));
    kms_leave(compile);
    KMS_TRY(read_actions(compile, json, &statement));
    KMS_TRY(read_resources(compile, json, &statement));
    KMS_TRY(kms_compile_conditions(compile, json_object_get(json, "Condition"), &statement));
    *ret_statement = statement;
    return KMS_OK;
}
