/* Reads the Condition element: operator -> key -> values. */
#include "kmsd/policy/compile.h"
#include "kmsd/policy/match.h"

#include <stdio.h>
#include <string.h>

/* What an operator's name says, as "ForAnyValue:StringEqualsIfExists". */
struct operator_use {
    struct kms_bytes text;
    enum kms_operator operator_id;
    enum kms_quantifier quantifier;
    bool if_exists;
};

static bool cut_front(struct kms_bytes *text, const char *front)
{
    size_t len = strlen(front);
    if (text->len < len || memcmp(text->ptr, front, len) != 0) return false;
    *text = kms_bytes_of(text->ptr + len, text->len - len);
    return true;
}

static bool cut_end(struct kms_bytes *text, const char *end)
{
    size_t len = strlen(end);
    if (text->len < len || memcmp(text->ptr + text->len - len, end, len) != 0) return false;
    text->len -= len;
    return true;
}

static kms_err read_operator(const struct kms_compile *compile, struct kms_bytes text,
                             struct operator_use *ret_use)
{
    const char *names[KMS_OPERATOR_COUNT];
    struct operator_use use = {.text = text, .operator_id = KMS_OPERATOR_COUNT};
    if (cut_front(&text, "ForAllValues:"))
        use.quantifier = KMS_FOR_ALL_VALUES;
    else if (cut_front(&text, "ForAnyValue:"))
        use.quantifier = KMS_FOR_ANY_VALUE;
    use.if_exists = cut_end(&text, "IfExists");
    for (enum kms_operator i = 0; i < KMS_OPERATOR_COUNT; i++) {
        names[i] = kms_operator_rows[i].name;
        if (kms_bytes_equal(text, kms_bytes_text(names[i]))) use.operator_id = i;
    }
    if (use.operator_id == KMS_OPERATOR_COUNT)
        return kms_complain(compile, "unknown operator '%s'%s", kms_show_short(use.text).text,
                            kms_similar_or(text, names, KMS_OPERATOR_COUNT, "; remove it").text);
    if (use.operator_id == KMS_OPERATOR_NULL && (use.if_exists || use.quantifier != KMS_ONE_VALUE))
        return kms_complain(compile, "operator Null takes neither IfExists nor a set operator; write Null");
    *ret_use = use;
    return KMS_OK;
}

static kms_err read_key(const struct kms_compile *compile, struct kms_bytes text,
                        struct kms_condition *condition)
{
    const char *names[KMS_CONDITION_KEY_COUNT];
    enum kms_condition_key key = kms_condition_key_called(text, &condition->name);
    condition->key = (uint8_t)key;
    if (key < KMS_CONDITION_KEY_COUNT) return KMS_OK;
    for (size_t i = 0; i < KMS_CONDITION_KEY_COUNT; i++) names[i] = kms_condition_key_rows[i].name;
    return kms_complain(compile, "unknown condition key '%s'%s", kms_show(text).text,
                        kms_similar_or(text, names, KMS_CONDITION_KEY_COUNT, "; remove it").text);
}

/* "String... or Arn... or Null" */
static struct kms_shown operators_for(unsigned families)
{
    static const char *const names[] = {
        [KMS_FAMILY_TEXT] = "String...",     [KMS_FAMILY_NUMBER] = "Numeric...",
        [KMS_FAMILY_DATE] = "Date...",       [KMS_FAMILY_FLAG] = "Bool",
        [KMS_FAMILY_ADDRESS] = "IpAddress",  [KMS_FAMILY_ARN] = "Arn...",
        [KMS_FAMILY_BINARY] = "BinaryEquals"};
    struct kms_shown shown = {""};
    size_t len = 0;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if ((families & 1u << i) != 0)
            len += (size_t)snprintf(shown.text + len, sizeof shown.text - len, "%s or ", names[i]);
    snprintf(shown.text + len, sizeof shown.text - len, "Null");
    return shown;
}

/* Does the operator make sense with this key? */
static kms_err check_fit(const struct kms_compile *compile, const struct operator_use *use,
                         const char *key_text, enum kms_condition_key key)
{
    enum kms_family family = kms_operator_rows[use->operator_id].family;
    struct kms_shown key_shown = kms_show(kms_bytes_text(key_text)),
                     operator_shown = kms_show_short(use->text);
    const struct kms_condition_key_row *row = &kms_condition_key_rows[key];
    if (family == KMS_FAMILY_ABSENCE) return KMS_OK;
    if ((row->takes & 1u << family) == 0)
        return kms_complain(compile, "operator %s does not go with condition key %s; use %s",
                            operator_shown.text, key_shown.text, operators_for(row->takes).text);
    if (row->holds == KMS_HOLDS_LIST && use->quantifier == KMS_ONE_VALUE)
        return kms_complain(compile, "%s holds many values: write ForAnyValue:%s or ForAllValues:%s",
                            key_shown.text, operator_shown.text, operator_shown.text);
    bool pair = row->holds == KMS_HOLDS_NAMED && row->about == KMS_ABOUT_REQUEST;
    if (pair && use->quantifier == KMS_FOR_ALL_VALUES)
        return kms_complain(
            compile,
            "overly permissive: %s on %s holds when the pair is missing; write %s without ForAllValues:",
            operator_shown.text, key_shown.text, kms_operator_rows[use->operator_id].name);
    return KMS_OK;
}

static kms_err read_values(struct kms_compile *compile, enum kms_operator operator_id, json_t *json,
                           struct kms_condition *condition)
{
    size_t count = kms_json_list_len(json);
    if (count == 0)
        return kms_complain(compile, "%s: the list of values is empty; write one, or remove the condition",
                            kms_operator_rows[operator_id].name);
    struct kms_value *values = kms_pool_alloc(&compile->policy->pool, count * sizeof *values);
    if (values == NULL) return KMS_FAIL(NO_MEMORY);
    compile->about = kms_condition_key_rows[condition->key].about;
    for (size_t i = 0; i < count; i++) {
        kms_enter_item(compile, i);
        KMS_TRY(kms_compile_value(compile, operator_id, kms_json_list_at(json, i), &values[i]));
        kms_leave(compile);
    }
    condition->values = values;
    condition->about = compile->about;
    condition->value_count = (uint16_t)count; /* a document of 32 KiB has fewer than 2^14 values */
    return KMS_OK;
}

static uint8_t slot_of(struct kms_compile *compile, const struct kms_condition *condition)
{
    size_t slot = 0;
    while (slot < compile->slot_count && (compile->slots[slot].key != condition->key ||
                                          !kms_folded_equal(compile->slots[slot].name, condition->name)))
        slot++;
    if (slot == compile->slot_count && slot < KMS_KEY_SLOTS) {
        compile->slots[slot].key = condition->key;
        compile->slots[slot].name = condition->name;
        compile->slot_count++;
    }
    return (uint8_t)slot;
}

static kms_err read_condition(struct kms_compile *compile, const struct operator_use *use,
                              const char *key_text, json_t *json, struct kms_condition *ret_condition)
{
    struct kms_condition condition = {.operator_id = (uint8_t)use->operator_id,
                                      .quantifier = (uint8_t)use->quantifier,
                                      .if_exists = use->if_exists};
    KMS_TRY(read_key(compile, kms_bytes_text(key_text), &condition));
    KMS_TRY(check_fit(compile, use, key_text, condition.key));
    KMS_TRY(kms_pool_copy(&compile->policy->pool, condition.name, &condition.name));
    condition.slot = slot_of(compile, &condition);
    KMS_TRY(read_values(compile, use->operator_id, json, &condition));
    *ret_condition = condition;
    return KMS_OK;
}

/* One key twice in an operator, told apart by case only: the JSON parser cannot see it. */
static bool repeats(const struct kms_condition *first, const struct kms_condition *last)
{
    for (; first < last; first++)
        if (first->key == last->key && kms_folded_equal(first->name, last->name)) return true;
    return false;
}

static kms_err read_block(struct kms_compile *compile, const char *operator_text, json_t *json,
                          struct kms_statement *statement, struct kms_condition *conditions)
{
    struct operator_use use = {.text = {NULL, 0}};
    const char *key_text;
    json_t *values;
    size_t first = statement->condition_count;
    kms_enter(compile, operator_text);
    KMS_TRY(read_operator(compile, kms_bytes_text(operator_text), &use));
    if (!json_is_object(json) || json_object_size(json) == 0)
        return kms_complain(compile, "operator %s wants an object of condition keys: {\"KEY\": \"VALUE\"}",
                            kms_show_short(use.text).text);
    json_object_foreach(json, key_text, values)
    {
        struct kms_condition *condition = &conditions[statement->condition_count];
        kms_enter(compile, key_text);
        KMS_TRY(read_condition(compile, &use, key_text, values, condition));
        condition->deny = statement->deny;
        if (repeats(&conditions[first], condition))
            return kms_complain(compile,
                                "%s: condition key '%s' stands there twice; join their values in a list",
                                kms_show_short(use.text).text, kms_show(kms_bytes_text(key_text)).text);
        statement->condition_count++;
        kms_leave(compile);
    }
    kms_leave(compile);
    return KMS_OK;
}

kms_err kms_compile_conditions(struct kms_compile *compile, json_t *json, struct kms_statement *statement)
{
    const char *operator_text;
    json_t *block;
    size_t count = 0;
    if (json == NULL) return KMS_OK;
    kms_enter(compile, "Condition");
    if (!json_is_object(json))
        return kms_complain(compile, "it must be an object: {\"OPERATOR\": {\"KEY\": \"VALUE\"}}");
    json_object_foreach(json, operator_text, block) count += json_object_size(block);
    struct kms_condition *conditions = kms_pool_alloc(&compile->policy->pool, count * sizeof *conditions);
    if (conditions == NULL) return KMS_FAIL(NO_MEMORY);
    json_object_foreach(json, operator_text, block)
        KMS_TRY(read_block(compile, operator_text, block, statement, conditions));
    statement->conditions = conditions;
    kms_leave(compile);
    return KMS_OK;
}
