/* Reads one value of a condition, once, into the form that decisions compare. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/policy/variable.h"

static const char *const wanted[] = {
    [KMS_FAMILY_TEXT] = "a string",
    [KMS_FAMILY_NUMBER] = "a number (at most 12 digits and 6 decimals)",
    [KMS_FAMILY_DATE] = "a date (2026-11-22T12:00:00Z) or seconds since 1970",
    [KMS_FAMILY_FLAG] = "true or false",
    [KMS_FAMILY_ADDRESS] = "an IP address or block (192.0.2.0/24, 2001:db8::/32)",
    [KMS_FAMILY_ARN] = "an ARN",
    [KMS_FAMILY_BINARY] = "base64, with padding",
    [KMS_FAMILY_ABSENCE] = "true or false",
};

/* A number that stands in the document without quotes. */
static bool bare_number(const json_t *json, int64_t *ret_millionths)
{
    const int64_t most = INT64_C(1000000000000); /* as kms_value_number */
    if (json_is_integer(json)) {
        json_int_t number = json_integer_value(json);
        if (number <= -most || number >= most) return false;
        *ret_millionths = number * KMS_MILLION;
        return true;
    }
    if (!json_is_real(json) || fabs(json_real_value(json)) >= (double)most) return false;
    *ret_millionths = (int64_t)llround(json_real_value(json) * KMS_MILLION);
    return true;
}

/* Families whose values are no text: false when the value is not of the family. */
static bool read_plain(enum kms_family family, const json_t *json, struct kms_value *value)
{
    struct kms_bytes text = json_is_string(json) ? kms_json_text(json) : kms_bytes_of(NULL, 0);
    switch (family) {
    case KMS_FAMILY_NUMBER:
        return json_is_number(json) ? bare_number(json, &value->number)
                                    : kms_value_number(text, &value->number);
    case KMS_FAMILY_DATE:
        return json_is_number(json) ? bare_number(json, &value->number)
                                    : kms_value_date(text, &value->number);
    case KMS_FAMILY_FLAG:
    case KMS_FAMILY_ABSENCE:
        value->number = json_is_true(json);
        return json_is_boolean(json) || kms_value_flag(text, &value->number);
    case KMS_FAMILY_ADDRESS:
        return kms_value_network(text, &value->network);
    default:
        return false;
    }
}

/* Text, ARN, and whatever has variables. */
static kms_err read_text(struct kms_compile *compile, const struct kms_operator_row *row,
                         struct kms_bytes text, struct kms_value *value)
{
    if (row->family == KMS_FAMILY_ARN)
        KMS_TRY(kms_compile_arn(compile, text, &value->text));
    else
        KMS_TRY(kms_compile_text(compile, text, row->relation == KMS_RELATION_LIKE, &value->text));
    value->has_variables = row->family == KMS_FAMILY_FLAG || kms_has_variable(value->text);
    return KMS_OK;
}

static kms_err read_binary(struct kms_compile *compile, struct kms_bytes text, struct kms_value *value,
                           bool *ret_good)
{
    uint8_t *data = kms_pool_alloc(&compile->policy->pool, text.len / 4 * 3 + 1);
    size_t len = 0;
    if (data == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_good = kms_unbase64(text, data, &len);
    value->text = kms_bytes_of(data, len);
    return KMS_OK;
}

kms_err kms_compile_value(struct kms_compile *compile, enum kms_operator operator_id, json_t *json,
                          struct kms_value *ret_value)
{
    const struct kms_operator_row *row = &kms_operator_rows[operator_id];
    struct kms_value value = {.number = 0};
    struct kms_bytes text = json_is_string(json) ? kms_json_text(json) : kms_bytes_text("a value");
    bool words = row->family == KMS_FAMILY_TEXT || row->family == KMS_FAMILY_ARN;
    bool good = json_is_string(json);
    bool variable = good && compile->variables && memmem(text.ptr, text.len, "${", 2) != NULL;
    if (variable && !words && row->family != KMS_FAMILY_FLAG)
        return kms_complain(compile, "%s takes no policy variable: write %s", row->name, wanted[row->family]);
    if (good && (words || variable))
        KMS_TRY(read_text(compile, row, text, &value));
    else if (good && row->family == KMS_FAMILY_BINARY)
        KMS_TRY(read_binary(compile, text, &value, &good));
    else
        good = read_plain(row->family, json, &value);
    if (!good)
        return kms_complain(compile, "%s: '%s' is not %s", row->name, kms_show(text).text,
                            wanted[row->family]);
    *ret_value = value;
    return KMS_OK;
}
