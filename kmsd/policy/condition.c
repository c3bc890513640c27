/* Does a condition hold for a request? The rules for missing keys, negation and sets of values stand here. */
#include "kmsd/policy/compiled.h"
#include "kmsd/policy/match.h"

const struct kms_operator_row kms_operator_rows[KMS_OPERATOR_COUNT] = {
#define KMS_OPERATOR(symbol, n, f, r, neg)                                                                   \
    [KMS_OPERATOR_##                                                                                         \
        symbol] = {.name = (n), .family = KMS_FAMILY_##f, .relation = KMS_RELATION_##r, .negated = (neg)},
#include "kmsd/policy/operator.def"
#undef KMS_OPERATOR
};

/* A value that the request has for a key. */
struct actual {
    enum { ACTUAL_TEXT, ACTUAL_TIME, ACTUAL_FLAG } kind;
    struct kms_bytes text;
    int64_t number; /* TIME: microseconds; FLAG: 0 or 1 */
};

static bool flag(bool known, bool value, struct actual *ret_actual)
{
    *ret_actual = (struct actual){.kind = ACTUAL_FLAG, .number = value};
    return known;
}

static bool text(struct kms_bytes value, struct actual *ret_actual)
{
    *ret_actual = (struct actual){.kind = ACTUAL_TEXT, .text = value};
    return value.ptr != NULL;
}

/* The value of a key that has at most one; false when the request has none. */
static bool single_value(enum kms_condition_key key, const struct kms_access_request *request,
                         struct actual *ret_actual)
{
    switch (key) {
    case KMS_CONDITION_ON_REQUEST_ALIAS:
        return text(request->request_alias, ret_actual);
    case KMS_CONDITION_ON_KEY_SPEC:
        return text(request->key_spec, ret_actual);
    case KMS_CONDITION_ON_KEY_USAGE:
        return text(request->key_usage, ret_actual);
    case KMS_CONDITION_ON_KEY_ORIGIN:
        return text(request->key_origin, ret_actual);
    case KMS_CONDITION_ON_ENCRYPTION_ALGORITHM:
        return text(request->encryption_algorithm, ret_actual);
    case KMS_CONDITION_ON_PRINCIPAL_ARN:
        return text(request->principal, ret_actual);
    case KMS_CONDITION_ON_SOURCE_IP:
        return text(request->source_ip, ret_actual);
    case KMS_CONDITION_ON_SECURE_TRANSPORT:
        return flag(true, request->secure_transport, ret_actual);
    case KMS_CONDITION_ON_REENCRYPT_ON_SAME_KEY:
        return flag(request->reencrypt_on_same_key_known, request->reencrypt_on_same_key, ret_actual);
    case KMS_CONDITION_ON_BYPASS_LOCKOUT:
        return flag(request->bypass_lockout_known, request->bypass_lockout, ret_actual);
    case KMS_CONDITION_ON_CURRENT_TIME:
    case KMS_CONDITION_ON_EPOCH_TIME:
        *ret_actual = (struct actual){.kind = ACTUAL_TIME, .number = (int64_t)request->now_us};
        return true;
    default:
        return false;
    }
}

/* The next value that the request has for the condition's key; *cursor begins at 0. Context names are
 * compared without case, so two pairs of a request can answer to one key. */
static bool next_value(const struct kms_condition *condition, const struct kms_access_request *request,
                       size_t *cursor, struct actual *ret_actual)
{
    if (condition->key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT_KEYS) {
        if (*cursor == request->context_count) return false;
        *ret_actual = (struct actual){.kind = ACTUAL_TEXT, .text = request->context[(*cursor)++].name};
        return true;
    }
    if (condition->key == KMS_CONDITION_ON_ENCRYPTION_CONTEXT) {
        while (*cursor < request->context_count) {
            const struct kms_pair *pair = &request->context[(*cursor)++];
            if (!kms_folded_equal(pair->name, condition->name)) continue;
            *ret_actual = (struct actual){.kind = ACTUAL_TEXT, .text = pair->value};
            return true;
        }
        return false;
    }
    return (*cursor)++ == 0 && single_value(condition->key, request, ret_actual);
}

static bool text_relates(enum kms_relation relation, struct kms_bytes wanted, struct kms_bytes actual)
{
    if (relation == KMS_RELATION_LIKE) return kms_pattern_match(wanted, actual);
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

static bool read_number(enum kms_family family, const struct actual *actual, int64_t *ret_number)
{
    *ret_number = actual->number;
    if (actual->kind != ACTUAL_TEXT) return true;
    if (family == KMS_FAMILY_FLAG) return kms_value_flag(actual->text, ret_number);
    return family == KMS_FAMILY_DATE ? kms_value_date(actual->text, ret_number)
                                     : kms_value_number(actual->text, ret_number);
}

static bool address_relates(const struct kms_condition *condition, const struct kms_network *wanted,
                            const struct actual *actual, struct kms_evaluation *evaluation)
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

/* Does this value of the request match any value of the document? What cannot be read as the operator's type
 * matches none. */
static bool matches_any(const struct kms_condition *condition, const struct actual *actual,
                        struct kms_evaluation *evaluation)
{
    const struct kms_operator_row *row = &kms_operator_rows[condition->operator_id];
    bool numeric =
        row->family == KMS_FAMILY_NUMBER || row->family == KMS_FAMILY_DATE || row->family == KMS_FAMILY_FLAG;
    int64_t number = 0;
    if (numeric && !read_number(row->family, actual, &number)) return false;
    for (size_t i = 0; i < condition->value_count; i++) {
        const struct kms_value *wanted = &condition->values[i];
        if (numeric ? number_relates(row->relation, wanted->number, number)
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

bool kms_condition_holds(const struct kms_condition *condition, struct kms_evaluation *evaluation)
{
    const struct kms_operator_row *row = &kms_operator_rows[condition->operator_id];
    /* Of several values, a negated operator wants each to match none (NOR), a plain one wants any to match.
     */
    bool each = condition->quantifier == KMS_FOR_ALL_VALUES ||
                (condition->quantifier == KMS_ONE_VALUE && row->negated);
    struct actual actual;
    size_t cursor = 0;
    bool present = next_value(condition, evaluation->request, &cursor, &actual);
    if (row->family == KMS_FAMILY_ABSENCE) return absence_wanted(condition, !present);
    if (!present) return condition->if_exists || each;
    do {
        bool satisfied = matches_any(condition, &actual, evaluation) != row->negated;
        if (satisfied != each) return satisfied;
    } while (next_value(condition, evaluation->request, &cursor, &actual));
    return each;
}
