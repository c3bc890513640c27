/* Statements as sentences. */
#include "kmsd/policy/words.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/policy/compile.h"

enum { NAMED = 8 /* items of a list that are named, before "and 3 more" */ };

/* ---- document and compiled statements side by side ---- */

static const struct kms_statement *compiled_of(const kms_policy *policy, const char *name)
{
    for (size_t i = 0; i < policy->statement_count; i++)
        if (strcmp(policy->statements[i].name, name) == 0) return &policy->statements[i];
    return NULL;
}

static kms_err pair_up(struct kms_reading *reading)
{
    json_t *list = json_object_get(reading->json, "Statement");
    for (size_t i = 0; i < kms_json_list_len(list); i++) {
        json_t *text = kms_json_list_at(list, i);
        const char *sid = json_string_value(json_object_get(text, "Sid"));
        KMS_OWN_BUF number = {0};
        KMS_TRY(kms_buf_print(&number, "#%zu", i + 1));
        const char *name = sid != NULL && sid[0] != '\0' ? sid : (const char *)number.data;
        const struct kms_statement *statement = compiled_of(reading->policy, name);
        if (statement == NULL) return KMS_FAIL(INTERNAL);
        reading->texts[reading->count] = text;
        reading->statements[reading->count++] = statement;
    }
    return KMS_OK;
}

kms_err kms_reading_new(enum kms_policy_kind kind, struct kms_bytes document,
                        struct kms_reading **ret_reading, struct kms_why *why)
{
    KMS_OWN(kms_reading) reading = calloc(1, sizeof *reading);
    if (reading == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(kms_policy_parse(kind, document, &reading->policy, why));
    reading->json = json_loadb((const char *)document.ptr, document.len, JSON_REJECT_DUPLICATES, NULL);
    if (reading->json == NULL) return KMS_FAIL(NO_MEMORY);
    KMS_TRY(pair_up(reading));
    *ret_reading = KMS_GIVE(reading);
    return KMS_OK;
}

void kms_reading_free(struct kms_reading *reading)
{
    if (reading == NULL) return;
    json_decref(reading->json);
    kms_policy_unref(reading->policy);
    free(reading);
}

void kms_reading_drop(struct kms_reading **reading)
{
    kms_reading_free(*reading);
}

/* ---- lists ---- */

/* What stands before item i of count: "a, b and c"; `last` is "and" or "or". */
static const char *between(size_t i, size_t count, const char *last)
{
    return i == 0 ? "" : i + 1 < count ? ", " : last;
}

/* Texts in quotes; plain: numbers and flags, which a document may write either way. */
static kms_err put_value(json_t *value, bool plain, kms_buf *out)
{
    const char *quote = plain ? "" : "\"";
    if (json_is_string(value))
        return kms_buf_print(out, "%s%.*s%s", quote, (int)json_string_length(value), json_string_value(value),
                             quote);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    kms_err err = text != NULL ? kms_buf_print(out, "%s", text) : KMS_FAIL(NO_MEMORY);
    free(text);
    return err;
}

/* Texts without quotes: principals, actions. */
static kms_err put_names(json_t *list, const char *last, kms_buf *out)
{
    size_t count = kms_json_list_len(list), named = count > NAMED ? NAMED : count;
    for (size_t i = 0; i < named; i++)
        KMS_TRY(kms_buf_print(out, "%s%s", between(i, count, last),
                              json_string_value(kms_json_list_at(list, i))));
    return count > named ? kms_buf_print(out, "%s%zu more", last, count - named) : KMS_OK;
}

/* All of them: what differs must not look the same. */
static kms_err put_values(json_t *list, bool plain, const char *last, kms_buf *out)
{
    size_t count = kms_json_list_len(list);
    for (size_t i = 0; i < count; i++) {
        KMS_TRY(kms_buf_print(out, "%s", between(i, count, last)));
        KMS_TRY(put_value(kms_json_list_at(list, i), plain, out));
    }
    return KMS_OK;
}

kms_err kms_words_actions(kms_actions actions, size_t most, kms_buf *out)
{
    size_t count = kms_action_count(actions), named = count > most ? most : count, i = 0;
    for (enum kms_action action = 0; i < named; action++) {
        if ((actions & kms_action_bit(action)) == 0) continue;
        KMS_TRY(kms_buf_print(out, "%s%s", between(i, count, " and "), kms_action_name(action)));
        i++;
    }
    return count > named ? kms_buf_print(out, " and %zu more", count - named) : KMS_OK;
}

/* ---- conditions ---- */

static bool cut_end(struct kms_bytes *text, const char *end)
{
    size_t len = strlen(end);
    if (text->len < len || memcmp(text->ptr + text->len - len, end, len) != 0) return false;
    text->len -= len;
    return true;
}

/* The operator that a document calls so; false: there is none. */
static bool find_operator(const char *text, enum kms_operator *ret_operator,
                          enum kms_quantifier *ret_quantifier, bool *ret_if_exists)
{
    const char *colon = strchr(text, ':');
    struct kms_bytes bare = kms_bytes_text(colon != NULL ? colon + 1 : text);
    *ret_quantifier = colon == NULL                             ? KMS_ONE_VALUE
                      : strncmp(text, "ForAllValues:", 13) == 0 ? KMS_FOR_ALL_VALUES
                                                                : KMS_FOR_ANY_VALUE;
    *ret_if_exists = cut_end(&bare, "IfExists");
    for (enum kms_operator i = 0; i < KMS_OPERATOR_COUNT; i++) {
        if (!kms_bytes_equal(bare, kms_bytes_text(kms_operator_rows[i].name))) continue;
        *ret_operator = i;
        return true;
    }
    return false;
}

/* How a value relates to those of the document. Each family has words of its own: the same values can mean
 * something else to another. */
static const char *relation_of(const struct kms_operator_row *row)
{
    static const struct {
        enum kms_family family;
        enum kms_relation relation;
        const char *words, *negated;
    } rows[] = {
        {KMS_FAMILY_TEXT, KMS_RELATION_EQUAL, "is", "is not"},
        {KMS_FAMILY_TEXT, KMS_RELATION_EQUAL_FOLDED, "is, in any case,", "is not, in any case,"},
        {KMS_FAMILY_TEXT, KMS_RELATION_LIKE, "is like", "is not like"},
        {KMS_FAMILY_ARN, KMS_RELATION_LIKE, "is an ARN like", "is no ARN like"},
        {KMS_FAMILY_BINARY, KMS_RELATION_EQUAL, "is, in base64,", "is not, in base64,"},
        {KMS_FAMILY_ADDRESS, KMS_RELATION_EQUAL, "is in", "is not in"},
        {KMS_FAMILY_FLAG, KMS_RELATION_EQUAL, "is", "is not"},
        {KMS_FAMILY_NUMBER, KMS_RELATION_EQUAL, "equals", "does not equal"},
        {KMS_FAMILY_NUMBER, KMS_RELATION_LESS, "is less than", NULL},
        {KMS_FAMILY_NUMBER, KMS_RELATION_LESS_EQUAL, "is at most", NULL},
        {KMS_FAMILY_NUMBER, KMS_RELATION_GREATER, "is more than", NULL},
        {KMS_FAMILY_NUMBER, KMS_RELATION_GREATER_EQUAL, "is at least", NULL},
        {KMS_FAMILY_DATE, KMS_RELATION_EQUAL, "is the time", "is not the time"},
        {KMS_FAMILY_DATE, KMS_RELATION_LESS, "is before", NULL},
        {KMS_FAMILY_DATE, KMS_RELATION_LESS_EQUAL, "is not after", NULL},
        {KMS_FAMILY_DATE, KMS_RELATION_GREATER, "is after", NULL},
        {KMS_FAMILY_DATE, KMS_RELATION_GREATER_EQUAL, "is not before", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].family != row->family || rows[i].relation != row->relation) continue;
        return row->negated ? rows[i].negated : rows[i].words;
    }
    return NULL;
}

static bool wants_absence(json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_true(value) || (text != NULL && (text[0] == 't' || text[0] == 'T'));
}

static kms_err put_absence(const char *key, json_t *values, kms_buf *out)
{
    bool absent = false, present = false;
    for (size_t i = 0; i < kms_json_list_len(values); i++) {
        bool wanted = wants_absence(kms_json_list_at(values, i));
        absent = absent || wanted;
        present = present || !wanted;
    }
    return kms_buf_print(out, "%s is %s%s%s", key, absent ? "absent" : "", absent && present ? " or " : "",
                         present ? "present" : "");
}

static kms_err put_condition(const char *operator_text, const char *key, json_t *values, kms_buf *out)
{
    static const char *const fronts[] = {
        [KMS_ONE_VALUE] = "", [KMS_FOR_ALL_VALUES] = "every one of ", [KMS_FOR_ANY_VALUE] = "some one of "};
    enum kms_operator operator_id = KMS_OPERATOR_COUNT;
    enum kms_quantifier quantifier;
    bool if_exists;
    if (!find_operator(operator_text, &operator_id, &quantifier, &if_exists)) return KMS_FAIL(INTERNAL);
    const struct kms_operator_row *row = &kms_operator_rows[operator_id];
    if (row->family == KMS_FAMILY_ABSENCE) return put_absence(key, values, out);
    const char *relation = relation_of(row);
    if (relation == NULL) return KMS_FAIL(INTERNAL);
    KMS_TRY(kms_buf_print(out, "%s%s %s ", fronts[quantifier], key, relation));
    bool plain = row->family == KMS_FAMILY_FLAG || row->family == KMS_FAMILY_NUMBER;
    KMS_TRY(put_values(values, plain, row->negated ? " nor " : " or ", out));
    return if_exists ? kms_buf_print(out, " (or absent)") : KMS_OK;
}

kms_err kms_words_conditions(json_t *statement, kms_buf *out)
{
    const char *operator_text, *key;
    json_t *block, *values;
    bool first = true;
    json_object_foreach(json_object_get(statement, "Condition"), operator_text, block)
    {
        json_object_foreach(block, key, values)
        {
            if (!first) KMS_TRY(kms_buf_print(out, " and "));
            KMS_TRY(put_condition(operator_text, key, values, out));
            first = false;
        }
    }
    return KMS_OK;
}

/* ---- statements ---- */

static json_t *principals_of(json_t *element)
{
    return json_is_object(element) ? json_object_iter_value(json_object_iter(element)) : element;
}

static kms_err put_who(json_t *statement, kms_buf *out)
{
    json_t *other = json_object_get(statement, "NotPrincipal");
    json_t *names = principals_of(other != NULL ? other : json_object_get(statement, "Principal"));
    if (other != NULL) KMS_TRY(kms_buf_print(out, "everybody but "));
    for (size_t i = 0; i < kms_json_list_len(names); i++)
        if (strcmp(json_string_value(kms_json_list_at(names, i)), "*") == 0)
            return kms_buf_print(out, "everybody");
    return put_names(names, " and ", out);
}

/* Does a pattern name every action that the document could? */
static bool names_all(const kms_policy *policy, const char *pattern)
{
    return (policy->every & ~kms_action_pattern_bits(kms_bytes_text(pattern))) == 0;
}

static kms_err put_what(const kms_policy *policy, json_t *statement, kms_buf *out)
{
    json_t *other = json_object_get(statement, "NotAction");
    json_t *names = other != NULL ? other : json_object_get(statement, "Action");
    if (other != NULL) KMS_TRY(kms_buf_print(out, "everything but "));
    for (size_t i = 0; other == NULL && i < kms_json_list_len(names); i++) {
        const char *name = json_string_value(kms_json_list_at(names, i));
        if (names_all(policy, name)) return kms_buf_print(out, "everything");
    }
    return put_names(names, " and ", out);
}

static kms_err put_resource(const kms_policy *policy, json_t *statement, kms_buf *out)
{
    json_t *other = json_object_get(statement, "NotResource");
    json_t *names = other != NULL ? other : json_object_get(statement, "Resource");
    for (size_t i = 0; i < kms_json_list_len(names); i++)
        if (strcmp(json_string_value(kms_json_list_at(names, i)), "*") == 0) return KMS_OK;
    KMS_TRY(kms_buf_print(out, other != NULL ? ", on %ss other than " : ", on %ss like ",
                          kms_kind_row(policy->kind)->subject));
    return put_names(names, " or ", out);
}

kms_err kms_words_statement(const kms_policy *policy, json_t *statement, kms_buf *out)
{
    bool deny = strcmp(json_string_value(json_object_get(statement, "Effect")), "Deny") == 0;
    KMS_TRY(kms_buf_print(out, deny ? "Denies " : "Allows "));
    KMS_TRY(put_who(statement, out));
    KMS_TRY(kms_buf_print(out, ": "));
    KMS_TRY(put_what(policy, statement, out));
    KMS_TRY(put_resource(policy, statement, out));
    if (json_object_size(json_object_get(statement, "Condition")) == 0) return KMS_OK;
    KMS_TRY(kms_buf_print(out, ", when "));
    return kms_words_conditions(statement, out);
}
