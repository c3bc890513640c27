/* Reads the values of condition keys off a request. */
#include "kmsd/policy/actual.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kmsd/policy/match.h"

/* Where the keys lie that are plain text of the request, or of what only its operation has. */
#define REQUEST(symbol, field)                                                                               \
    [KMS_CONDITION_ON_##symbol] = {.there = true, .at = offsetof(struct kms_access_request, field)}
#define INPUT(symbol, field)                                                                                 \
    [KMS_CONDITION_ON_##                                                                                     \
        symbol] = {.there = true, .input = true, .at = offsetof(struct kms_operation_inputs, field)}
static const struct {
    bool there, input;
    uint16_t at;
} texts[KMS_CONDITION_KEY_COUNT] = {
    REQUEST(REQUEST_ALIAS, request_alias),
    REQUEST(KEY_SPEC, key_spec),
    REQUEST(KEY_USAGE, key_usage),
    REQUEST(OLD_KEY_SPEC, key_spec),
    REQUEST(OLD_KEY_USAGE, key_usage),
    REQUEST(KEY_ORIGIN, key_origin),
    REQUEST(ENCRYPTION_ALGORITHM, encryption_algorithm),
    REQUEST(SOURCE_IP, source_ip),
    REQUEST(PRINCIPAL_ARN, principal),
    REQUEST(VIA_SERVICE, via_service),
    INPUT(SIGNING_ALGORITHM, signing_algorithm),
    INPUT(MAC_ALGORITHM, mac_algorithm),
    INPUT(OAEP_LABEL, oaep_label),
    INPUT(MESSAGE_TYPE, message_type),
    INPUT(DATA_KEY_PAIR_SPEC, data_key_pair_spec),
    INPUT(GRANTEE_PRINCIPAL, grantee_principal),
    INPUT(RETIRING_PRINCIPAL, retiring_principal),
    INPUT(GRANT_CONSTRAINT_TYPE, grant_constraint_type),
    INPUT(EXPIRATION_MODEL, expiration_model),
    INPUT(WRAPPING_ALGORITHM, wrapping_algorithm),
    INPUT(WRAPPING_KEY_SPEC, wrapping_key_spec),
    INPUT(SECRET_NAME, secret_name),
    INPUT(SECRET_KMS_KEY_ID, secret_kms_key_id),
    INPUT(SECRET_KMS_KEY_ARN, secret_kms_key_arn),
    INPUT(VERSION_ID, secret_version_id),
    INPUT(VERSION_STAGE, secret_version_stage),
};
static const struct kms_operation_inputs no_inputs;

static const struct kms_operation_inputs *inputs_of(const struct kms_access_request *request)
{
    return request->inputs != NULL ? request->inputs : &no_inputs;
}

static bool text(struct kms_bytes value, struct kms_actual *ret_actual)
{
    *ret_actual = (struct kms_actual){.kind = KMS_ACTUAL_TEXT, .text = value};
    return value.ptr != NULL;
}

static bool flag(bool known, bool value, struct kms_actual *ret_actual)
{
    *ret_actual = (struct kms_actual){.kind = KMS_ACTUAL_FLAG, .number = value};
    return known;
}

static bool number(bool known, uint64_t millionths, struct kms_actual *ret_actual)
{
    *ret_actual = (struct kms_actual){.kind = KMS_ACTUAL_NUMBER, .number = (int64_t)millionths};
    return known && millionths <= INT64_MAX;
}

static bool begins(struct kms_bytes text, const char *front)
{
    size_t len = strlen(front);
    return text.len >= len && memcmp(text.ptr, front, len) == 0;
}

static bool account(const struct kms_access_request *request, struct kms_actual *ret_actual)
{
    struct kms_bytes account = {NULL, 0}, rest;
    return kms_principal_split(request->principal, &account, &rest) && text(account, ret_actual);
}

static bool principal_type(const struct kms_access_request *request, struct kms_actual *ret_actual)
{
    static const struct {
        const char *front, *type;
    } rows[] = {{"user/", "User"},
                {"role/", "AssumedRole"},
                {"assumed-role/", "AssumedRole"},
                {"federated-user/", "FederatedUser"}};
    struct kms_bytes account, rest;
    if (!kms_principal_split(request->principal, &account, &rest)) return false;
    if (kms_bytes_equal(rest, kms_bytes_text("root"))) return text(kms_bytes_text("Account"), ret_actual);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (begins(rest, rows[i].front)) return text(kms_bytes_text(rows[i].type), ret_actual);
    return false;
}

/* A user's friendly name: what stands behind its path. */
static bool username(const struct kms_access_request *request, struct kms_actual *ret_actual)
{
    struct kms_bytes account, rest;
    if (!kms_principal_split(request->principal, &account, &rest) || !begins(rest, "user/")) return false;
    size_t at = rest.len;
    while (rest.ptr[at - 1] != '/') at--;
    return at < rest.len && text(kms_bytes_of(rest.ptr + at, rest.len - at), ret_actual);
}

static bool region(const struct kms_access_request *request, struct kms_actual *ret_actual)
{
    struct kms_bytes parts[KMS_ARN_PARTS];
    return kms_arn_split(request->resource, parts) && text(parts[3], ret_actual);
}

/* The ARN of a secret, however the caller named it. */
static bool secret_id(const struct kms_access_request *request, struct kms_actual *ret_actual)
{
    struct kms_bytes parts[KMS_ARN_PARTS];
    return kms_arn_split(request->resource, parts) &&
           kms_bytes_equal(parts[2], kms_bytes_text("secretsmanager")) && text(request->resource, ret_actual);
}

static bool days(uint32_t days, struct kms_actual *ret_actual)
{
    return number(days != 0, (uint64_t)days * KMS_MILLION, ret_actual);
}

/* Flags and days of operations on secrets. */
static bool secret_value(enum kms_condition_key key, const struct kms_operation_inputs *inputs,
                         struct kms_actual *ret_actual)
{
    switch (key) {
    case KMS_CONDITION_ON_RECOVERY_WINDOW:
        return days(inputs->recovery_window_days, ret_actual);
    case KMS_CONDITION_ON_FORCE_DELETE:
        return flag(inputs->force_delete_known, inputs->force_delete, ret_actual);
    case KMS_CONDITION_ON_MODIFY_ROTATION_RULES:
        return flag(inputs->modify_rotation_rules_known, inputs->modify_rotation_rules, ret_actual);
    case KMS_CONDITION_ON_ROTATE_IMMEDIATELY:
        return flag(inputs->rotate_immediately_known, inputs->rotate_immediately, ret_actual);
    default:
        return false;
    }
}

static bool single_value(enum kms_condition_key key, const struct kms_access_request *request,
                         struct kms_actual *ret_actual)
{
    const struct kms_operation_inputs *inputs = inputs_of(request);
    if (texts[key].there) {
        const uint8_t *base = texts[key].input ? (const uint8_t *)inputs : (const uint8_t *)request;
        struct kms_bytes value;
        kms_copy(&value, base + texts[key].at, sizeof value);
        return text(value, ret_actual);
    }
    switch (key) {
    case KMS_CONDITION_ON_CURRENT_TIME:
    case KMS_CONDITION_ON_EPOCH_TIME:
        return number(true, request->now_us, ret_actual);
    case KMS_CONDITION_ON_VALID_TO:
        return number(inputs->valid_to_us != 0, inputs->valid_to_us, ret_actual);
    case KMS_CONDITION_ON_ROTATION_PERIOD:
        return days(inputs->rotation_period_days, ret_actual);
    case KMS_CONDITION_ON_PENDING_WINDOW:
        return days(inputs->pending_window_days, ret_actual);
    case KMS_CONDITION_ON_SECURE_TRANSPORT:
        return flag(true, request->secure_transport, ret_actual);
    case KMS_CONDITION_ON_REENCRYPT_ON_SAME_KEY:
        return flag(request->reencrypt_on_same_key_known, request->reencrypt_on_same_key, ret_actual);
    case KMS_CONDITION_ON_BYPASS_LOCKOUT:
        return flag(request->bypass_lockout_known, request->bypass_lockout, ret_actual);
    case KMS_CONDITION_ON_VIA_AWS_SERVICE:
        return flag(true, request->via_service.ptr != NULL, ret_actual);
    case KMS_CONDITION_ON_MULTI_REGION:
        return flag(kms_action_of_keys(request->action), false, ret_actual);
    case KMS_CONDITION_ON_PRINCIPAL_IS_SERVICE:
        return flag(true, false, ret_actual);
    case KMS_CONDITION_ON_PRINCIPAL_ACCOUNT:
    case KMS_CONDITION_ON_CALLER_ACCOUNT:
        return account(request, ret_actual);
    case KMS_CONDITION_ON_PRINCIPAL_TYPE:
        return principal_type(request, ret_actual);
    case KMS_CONDITION_ON_USERNAME:
        return username(request, ret_actual);
    case KMS_CONDITION_ON_REQUESTED_REGION:
        return region(request, ret_actual);
    case KMS_CONDITION_ON_SECRET_ID:
        return secret_id(request, ret_actual);
    case KMS_CONDITION_ON_SECRET_PRIMARY_REGION:
        return !kms_action_of_keys(request->action) && region(request, ret_actual);
    default:
        return secret_value(key, inputs, ret_actual);
    }
}

/* The next of some pairs that has this name. */
static bool next_named(const struct kms_pair *pairs, size_t count, struct kms_bytes name, size_t *cursor,
                       struct kms_actual *ret_actual)
{
    while (*cursor < count) {
        const struct kms_pair *pair = &pairs[(*cursor)++];
        if (kms_folded_equal(pair->name, name)) return text(pair->value, ret_actual);
    }
    return false;
}

/* The next of the names of some pairs, then of the items of a list. */
static bool next_of(const struct kms_pair *pairs, size_t pair_count, const struct kms_bytes *items,
                    size_t item_count, size_t *cursor, struct kms_actual *ret_actual)
{
    size_t at = *cursor;
    if (at >= pair_count + item_count) return false;
    ++*cursor;
    return text(at < pair_count ? pairs[at].name : items[at - pair_count], ret_actual);
}

/* What a simulation says of a key that no request has here. */
static bool next_foreign(enum kms_condition_key key, struct kms_bytes name,
                         const struct kms_operation_inputs *inputs, size_t *cursor,
                         struct kms_actual *ret_actual)
{
    if (kms_condition_key_rows[key].about != KMS_ABOUT_NOTHING) return false;
    for (size_t i = *cursor; i < inputs->foreign_count; i++) {
        struct kms_bytes its_name;
        if (kms_condition_key_called(inputs->foreign[i].name, &its_name) != key) continue;
        if (!kms_folded_equal(its_name, name)) continue;
        *cursor = i + 1;
        return text(inputs->foreign[i].value, ret_actual);
    }
    return false;
}

bool kms_actual_next(enum kms_condition_key key, struct kms_bytes name,
                     const struct kms_access_request *request, size_t *cursor, struct kms_actual *ret_actual)
{
    const struct kms_operation_inputs *inputs = inputs_of(request);
    switch (key) {
    case KMS_CONDITION_ON_ENCRYPTION_CONTEXT:
        return next_named(request->context, request->context_count, name, cursor, ret_actual);
    case KMS_CONDITION_ON_REQUEST_TAG:
        return next_named(inputs->request_tags, inputs->request_tag_count, name, cursor, ret_actual);
    case KMS_CONDITION_ON_RESOURCE_TAG:
    case KMS_CONDITION_ON_SECRET_RESOURCE_TAG:
        return next_named(request->resource_tags, request->resource_tag_count, name, cursor, ret_actual);
    case KMS_CONDITION_ON_ENCRYPTION_CONTEXT_KEYS:
        return next_of(request->context, request->context_count, NULL, 0, cursor, ret_actual);
    case KMS_CONDITION_ON_TAG_KEYS:
        return next_of(inputs->request_tags, inputs->request_tag_count, inputs->removed_tag_keys,
                       inputs->removed_tag_key_count, cursor, ret_actual);
    case KMS_CONDITION_ON_GRANT_OPERATIONS:
        return next_of(NULL, 0, inputs->grant_operations, inputs->grant_operation_count, cursor, ret_actual);
    default:
        return next_foreign(key, name, inputs, cursor, ret_actual) ||
               ((*cursor)++ == 0 && single_value(key, request, ret_actual));
    }
}

static struct kms_bytes written(enum kms_condition_key key, const struct kms_actual *actual,
                                char room[KMS_ACTUAL_ROOM_BYTES])
{
    time_t seconds = (time_t)(actual->number / KMS_MILLION);
    struct tm tm;
    size_t len = 0;
    if (actual->kind == KMS_ACTUAL_FLAG) return kms_bytes_text(actual->number != 0 ? "true" : "false");
    bool iso = key == KMS_CONDITION_ON_CURRENT_TIME || key == KMS_CONDITION_ON_VALID_TO;
    if (iso && gmtime_r(&seconds, &tm) != NULL)
        len = strftime(room, KMS_ACTUAL_ROOM_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
    else
        len = (size_t)snprintf(room, KMS_ACTUAL_ROOM_BYTES, "%lld", (long long)seconds);
    return kms_bytes_of(room, len);
}

bool kms_actual_text(enum kms_condition_key key, struct kms_bytes name,
                     const struct kms_access_request *request, char room[KMS_ACTUAL_ROOM_BYTES],
                     struct kms_bytes *ret_text)
{
    struct kms_actual actual, another;
    size_t cursor = 0;
    if (!kms_actual_next(key, name, request, &cursor, &actual)) return false;
    if (kms_actual_next(key, name, request, &cursor, &another)) return false;
    *ret_text = actual.kind == KMS_ACTUAL_TEXT ? actual.text : written(key, &actual, room);
    return true;
}
