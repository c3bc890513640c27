/* Does a condition hold for a request? The rules for missing keys, negation and sets of values stand here. */
#include "kmsd/policy/actual.h"
#include "kmsd/policy/match.h"
#include "kmsd/policy/variable.h"

const struct kms_operator_row kms_operator_rows[KMS_OPERATOR_COUNT] = {
#define KMS_OPERATOR(symbol, n, f, r, neg)                                                                   \
    [KMS_OPERATOR_##                                                                                         \
        symbol] = {.name = (n), .family = KMS_FAMILY_##f, .relation = KMS_RELATION_##r, .negated = (neg)},
#include "kmsd/policy/operator.def"
#undef KMS_OPERATOR
};

static bool text_relates(enum kms_relation relation, struct kms_bytes wanted, struct kms_bytes actual)
{
    if (relation == KMS_RELATION_LIKE) return kms_pattern_match(wanted, actual);
    if (wanted.len != actual.len) return false;
    return relation == KMS_RELATION_EQUAL ? kms_bytes_equal(wanted, actual)
                                          : kms_folded_equal(wanted, actual);
}

static bool number_relates(enum kms_relation relation, int64_t wanted, int64_t actual)
{
    switch (relation) {
    case KMS_RELATION_LESS:
        return actual < wanted;
    case KMS_RELATION_LESS_EQUAL:
        return actual <= wanted;
    case KMS_RELATION_GREATER:
        return actual > wanted;
    case KMS_RELATION_GREATER_EQUAL:
        return actual >= wanted;
    default:
        return actual == wanted;
    }
}

static bool read_number(enum kms_family family, const struct kms_actual *actual, int64_t *ret_number)
{
    *ret_number = actual->number;
    if (actual->kind != KMS_ACTUAL_TEXT) return true;
    if (family == KMS_FAMILY_FLAG) return kms_value_flag(actual->text, ret_number);
    return family == KMS_FAMILY_DATE ? kms_value_date(actual->text, ret_number)
                                     : kms_value_number(actual->text, ret_number);
}

static bool address_relates(const struct kms_condition *condition, const struct kms_network *wanted,
                            const struct kms_actual *actual, struct kms_evaluation *evaluation)
{
    struct kms_network address;
    if (condition->key != KMS_CONDITION_ON_SOURCE_IP)
        return kms_value_address(actual->text, &address) && kms_network_contains(wanted, &address);
    if (!evaluation->address_read) {
        evaluation->address_read = true;
        evaluation->address_valid = kms_value_address(actual->text, &evaluation->address);
    }
    return evaluation->address_valid && kms_network_contains(wanted, &evaluation->address);
}

/* The same for a value with variables: only text, ARNs and flags can have them. What cannot be resolved
 * matches nothing. */
__attribute__((noinline)) /* its room would be everybody's */
static bool
resolved_matches(const struct kms_operator_row *row, struct kms_bytes wanted, const struct kms_actual *actual,
                 const struct kms_access_request *request)
{
    uint8_t room[KMS_RESOLVED_BYTES];
    struct kms_bytes resolved;
    int64_t wanted_flag, actual_flag;
    if (!kms_resolve(wanted, request, room, &resolved)) return false;
    if (row->family == KMS_FAMILY_ARN) return kms_arn_match(resolved, actual->text);
    if (row->family == KMS_FAMILY_TEXT) return text_relates(row->relation, resolved, actual->text);
    return kms_value_flag(resolved, &wanted_flag) && read_number(row->family, actual, &actual_flag) &&
           wanted_flag == actual_flag;
}

/* Does this value of the request match any value of the document? What cannot be read as the operator's type
 * matches none. */
static bool matches_any(const struct kms_condition *condition, const struct kms_actual *actual,
                        struct kms_evaluation *evaluation)
{
    const struct kms_operator_row *row = &kms_operator_rows[condition->operator_id];
    bool numeric =
        row->family == KMS_FAMILY_NUMBER || row->family == KMS_FAMILY_DATE || row->family == KMS_FAMILY_FLAG;
    int64_t number = 0;
    if (numeric && !read_number(row->family, actual, &number)) return false;
    for (size_t i = 0; i < condition->value_count; i++) {
        const struct kms_value *wanted = &condition->values[i];
        if (wanted->has_variables ? resolved_matches(row, wanted->text, actual, evaluation->request)
            : numeric             ? number_relates(row->relation, wanted->number, number)
            : row->family == KMS_FAMILY_ADDRESS
                ? address_relates(condition, &wanted->network, actual, evaluation)
            : row->family == KMS_FAMILY_ARN ? kms_arn_match(wanted->text, actual->text)
                                            : text_relates(row->relation, wanted->text, actual->text))
            return true;
    }
    return false;
}

static bool absence_wanted(const struct kms_condition *condition, bool absent)
{
    for (size_t i = 0; i < condition->value_count; i++)
        if ((condition->values[i].number != 0) == absent) return true;
    return false;
}

/* Looks up the first value of the request for the condition's key. */
static void read_first(const struct kms_condition *condition, const struct kms_access_request *request,
                       struct kms_first *first)
{
    struct kms_actual second;
    first->read = true;
    first->present =
        kms_actual_next(condition->key, condition->name, request, &first->cursor, &first->actual);
    size_t cursor = first->cursor;
    first->more =
        first->present && kms_actual_next(condition->key, condition->name, request, &cursor, &second);
}

/* Goes on behind the first value, which left the question open. */
static bool others_hold(const struct kms_condition *condition, size_t cursor, bool each,
                        struct kms_evaluation *evaluation)
{
    bool negated = kms_operator_rows[condition->operator_id].negated;
    struct kms_actual actual;
    while (kms_actual_next(condition->key, condition->name, evaluation->request, &cursor, &actual)) {
        bool satisfied = matches_any(condition, &actual, evaluation) != negated;
        if (satisfied != each) return satisfied;
    }
    return each;
}

bool kms_condition_holds(const struct kms_condition *condition, struct kms_evaluation *evaluation)
{
    const struct kms_operator_row *row = &kms_operator_rows[condition->operator_id];
    /* Without a set operator there is one value. Where a request has several all the same, names that differ
     * in case only, an Allow wants each to satisfy and a Deny any: nobody gains by a second one. */
    bool each = condition->quantifier == KMS_FOR_ALL_VALUES ||
                (condition->quantifier == KMS_ONE_VALUE && !condition->deny);
    bool missing = condition->quantifier == KMS_FOR_ALL_VALUES ||
                   (condition->quantifier == KMS_ONE_VALUE && row->negated);
    struct kms_first here, *first = &here;
    if (condition->slot < KMS_KEY_SLOTS)
        first = &evaluation->first[condition->slot];
    else
        here = (struct kms_first){.read = false};
    if (!first->read) read_first(condition, evaluation->request, first);
    if (row->family == KMS_FAMILY_ABSENCE) return absence_wanted(condition, !first->present);
    if (!first->present) return condition->if_exists || missing;
    bool satisfied = matches_any(condition, &first->actual, evaluation) != row->negated;
    if (satisfied != each || !first->more) return satisfied;
    return others_hold(condition, first->cursor, each, evaluation);
}
