/* The table of inputs at work. */
#include "kmsd/policy/input.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kmsd/policy/compiled.h"
#include "kmsd/policy/complain.h"
#include "kmsd/policy/match.h"
#include "kmsd/policy/value.h"

enum kind { KIND_TEXT, KIND_FLAG, KIND_ASKED, KIND_TIME, KIND_DAYS, KIND_LIST, KIND_PAIRS };
enum when { WHEN_NEVER, WHEN_ON_KEY, WHEN_SEALING, WHEN_DEFAULT_ARN };

struct row {
    const char *name, *key;
    enum kind kind;
    enum kms_input_scope scope;
    bool of_operation; /* member of struct kms_operation_inputs */
    size_t at, also;   /* offsets; also: <member>_known of ASKED, the count of LIST and PAIRS */
    enum when when;
    const char *usual;
};

#define TEXT          .kind = KIND_TEXT
#define FLAG          .kind = KIND_FLAG
#define TIME          .kind = KIND_TIME
#define DAYS          .kind = KIND_DAYS
#define ASKED(known)  .kind = KIND_ASKED, .also = offsetof(KMS_INPUT_HOME, known)
#define LIST(count)   .kind = KIND_LIST, .also = offsetof(KMS_INPUT_HOME, count)
#define PAIRS(count)  .kind = KIND_PAIRS, .also = offsetof(KMS_INPUT_HOME, count)
#define NEVER         .when = WHEN_NEVER
#define ON_KEY(text)  .when = WHEN_ON_KEY, .usual = (text)
#define SEALING(text) .when = WHEN_SEALING, .usual = (text)
#define DEFAULT_ARN   .when = WHEN_DEFAULT_ARN

static const struct row rows[KMS_INPUT_COUNT] = {
#define KMS_INPUT_HOME struct kms_access_request
#define KMS_INPUT(member, k, kd, sc, us)                                                                     \
    [KMS_INPUT_OF_##member] = {.name = #member,                                                              \
                               .key = (k),                                                                   \
                               .scope = KMS_INPUT_##sc,                                                      \
                               .at = offsetof(struct kms_access_request, member),                            \
                               kd,                                                                           \
                               us},
#define KMS_OPERATION_INPUT(member, k, kd)
#include "kmsd/policy/input.def"
#undef KMS_INPUT
#undef KMS_OPERATION_INPUT
#undef KMS_INPUT_HOME
#define KMS_INPUT_HOME struct kms_operation_inputs
#define KMS_INPUT(member, k, kd, sc, us)
#define KMS_OPERATION_INPUT(member, k, kd)                                                                   \
    [KMS_INPUT_OF_##member] = {.name = #member,                                                              \
                               .key = (k),                                                                   \
                               .scope = KMS_INPUT_ACCESS,                                                    \
                               .of_operation = true,                                                         \
                               .at = offsetof(struct kms_operation_inputs, member),                          \
                               kd},
#include "kmsd/policy/input.def"
#undef KMS_INPUT
#undef KMS_OPERATION_INPUT
#undef KMS_INPUT_HOME
};

const char *kms_input_name(enum kms_input input)
{
    return rows[input].name;
}

const char *kms_input_key(enum kms_input input)
{
    return rows[input].key;
}

/* Where the members of a row lie; NULL: the operation has no inputs of its own. */
static const char *home_of(const struct row *row, const struct kms_access_request *request)
{
    return row->of_operation ? (const char *)request->inputs : (const char *)request;
}

/* A member by its offset, as an lvalue's address. */
static const void *member_of(const char *home, size_t offset)
{
    return home + offset;
}

/* ---- what records leave out ---- */

static bool seals(enum kms_action action)
{
    switch (action) {
    case KMS_ACT_ENCRYPT:
    case KMS_ACT_DECRYPT:
    case KMS_ACT_REENCRYPT_FROM:
    case KMS_ACT_REENCRYPT_TO:
    case KMS_ACT_GENERATE_DATA_KEY:
    case KMS_ACT_GENERATE_DATA_KEY_WITHOUT_PLAINTEXT:
        return true;
    default:
        return false;
    }
}

static bool default_arn(struct kms_bytes resource)
{
    const size_t len = strlen(KMS_INPUT_DEFAULT_ARN);
    return resource.len == 0 || (resource.len > len && memcmp(resource.ptr, KMS_INPUT_DEFAULT_ARN, len) == 0);
}

/* {NULL, 0}: usually absent. */
static struct kms_bytes usual_of(const struct row *row, const struct kms_access_request *request)
{
    const struct kms_bytes absent = {0}, usual = row->usual != NULL ? kms_bytes_text(row->usual) : absent;
    switch (row->when) {
    case WHEN_ON_KEY:
        return request->resource.len > 0 && kms_action_of_keys(request->action) ? usual : absent;
    case WHEN_SEALING:
        return request->resource.len > 0 && seals(request->action) ? usual : absent;
    case WHEN_DEFAULT_ARN:
        return default_arn(request->resource) ? request->resource : absent;
    default:
        return absent;
    }
}

void kms_inputs_usual(struct kms_access_request *request)
{
    const struct kms_access_request bare = {.principal = request->principal,
                                            .action = request->action,
                                            .resource = request->resource,
                                            .context = request->context,
                                            .context_count = request->context_count,
                                            .now_us = request->now_us};
    *request = bare;
    for (size_t i = 0; i < KMS_INPUT_COUNT; i++) {
        struct kms_bytes usual = usual_of(&rows[i], &bare);
        if (rows[i].usual != NULL) kms_copy((char *)request + rows[i].at, &usual, sizeof usual);
    }
}

/* ---- out of a request ---- */

static void say(struct kms_inputs *to, struct kms_bytes name, struct kms_bytes value)
{
    if (to->count == KMS_INPUT_PAIRS)
        to->cut = true;
    else
        to->pairs[to->count++] = (struct kms_pair){.name = name, .value = value};
}

/* In the text of `to`; {NULL, 0}: it is full. */
static struct kms_bytes print(struct kms_inputs *to, const char *front, const char *between,
                              struct kms_bytes end)
{
    size_t left = sizeof to->text - to->text_len;
    char *at = to->text + to->text_len;
    int len = snprintf(at, left, "%s%s%.*s", front, between, (int)end.len, (const char *)end.ptr);
    if (len < 0 || (size_t)len >= left) {
        to->cut = true;
        return kms_bytes_of(NULL, 0);
    }
    to->text_len += (size_t)len;
    return kms_bytes_of(at, (size_t)len);
}

/* 0: there is none. */
static void say_number(const struct row *row, const char *home, struct kms_inputs *to)
{
    char words[KMS_TIME_TEXT];
    if (row->kind == KIND_TIME) {
        kms_time_text(*(const uint64_t *)member_of(home, row->at), words);
        if (*(const uint64_t *)member_of(home, row->at) == 0) return;
    } else {
        snprintf(words, sizeof words, "%u", *(const uint32_t *)member_of(home, row->at));
        if (*(const uint32_t *)member_of(home, row->at) == 0) return;
    }
    struct kms_bytes text = print(to, words, "", kms_bytes_text(""));
    if (text.ptr != NULL) say(to, kms_bytes_text(row->name), text);
}

/* One input for each: "request_tags/team": "payments". */
static void say_each(const struct row *row, const char *home, struct kms_inputs *to)
{
    size_t count = *(const size_t *)member_of(home, row->also);
    const void *list = *(const void *const *)member_of(home, row->at);
    for (size_t i = 0; i < count; i++) {
        struct kms_pair pair = {.value = kms_bytes_text("")};
        if (row->kind == KIND_PAIRS)
            pair = ((const struct kms_pair *)list)[i];
        else
            pair.name = ((const struct kms_bytes *)list)[i];
        struct kms_bytes name = print(to, row->name, "/", pair.name);
        if (name.ptr != NULL) say(to, name, pair.value);
    }
}

static void say_text(const struct row *row, const struct kms_access_request *request, const char *home,
                     struct kms_inputs *to)
{
    struct kms_bytes value = *(const struct kms_bytes *)member_of(home, row->at);
    struct kms_bytes usual = usual_of(row, request);
    if ((value.ptr != NULL) != (usual.ptr != NULL) || !kms_bytes_equal(value, usual))
        say(to, kms_bytes_text(row->name), value);
}

static void say_flag(const struct row *row, const char *home, struct kms_inputs *to)
{
    bool value = *(const bool *)member_of(home, row->at);
    bool wanted = row->kind == KIND_ASKED ? *(const bool *)member_of(home, row->also) : value;
    if (wanted) say(to, kms_bytes_text(row->name), kms_bytes_text(value ? "true" : "false"));
}

void kms_inputs_of(const struct kms_access_request *request, enum kms_input_scope scope,
                   struct kms_inputs *ret_inputs)
{
    ret_inputs->count = ret_inputs->text_len = 0;
    ret_inputs->cut = false;
    for (const struct row *row = rows; row < rows + KMS_INPUT_COUNT; row++) {
        const char *home = home_of(row, request);
        if (row->scope != scope || home == NULL) continue;
        switch (row->kind) {
        case KIND_TEXT:
            say_text(row, request, home, ret_inputs);
            break;
        case KIND_FLAG:
        case KIND_ASKED:
            say_flag(row, home, ret_inputs);
            break;
        case KIND_TIME:
        case KIND_DAYS:
            say_number(row, home, ret_inputs);
            break;
        default:
            say_each(row, home, ret_inputs);
        }
    }
}

/* ---- into a request ---- */

/* Where a row's members can be written. NULL: no memory. */
static char *home_in(const struct row *row, struct kms_access_request *request, struct kms_pool *pool)
{
    if (!row->of_operation) return (char *)request;
    struct kms_operation_inputs *inputs = kms_pool_alloc(pool, sizeof *inputs);
    if (inputs == NULL) return NULL;
    if (request->inputs != NULL) *inputs = *request->inputs;
    request->inputs = inputs;
    return (char *)inputs;
}

static kms_err store_flag(const struct row *row, char *home, struct kms_bytes value)
{
    int64_t flag;
    const bool yes = true;
    if (!kms_value_flag(value, &flag)) return KMS_FAIL(INVALID_ARGUMENT);
    bool set = flag != 0;
    kms_copy(home + row->at, &set, sizeof set);
    if (row->kind == KIND_ASKED) kms_copy(home + row->also, &yes, sizeof yes);
    return KMS_OK;
}

static kms_err store_number(const struct row *row, char *home, struct kms_bytes value)
{
    int64_t number;
    if (row->kind == KIND_TIME) {
        if (!kms_value_date(value, &number) || number < 0) return KMS_FAIL(INVALID_ARGUMENT);
        uint64_t time_us = (uint64_t)number;
        kms_copy(home + row->at, &time_us, sizeof time_us);
        return KMS_OK;
    }
    if (!kms_value_number(value, &number) || number < 0 || number % KMS_MILLION != 0 ||
        number / KMS_MILLION > UINT32_MAX)
        return KMS_FAIL(INVALID_ARGUMENT);
    uint32_t days = (uint32_t)(number / KMS_MILLION);
    kms_copy(home + row->at, &days, sizeof days);
    return KMS_OK;
}

/* One more element: the lists of a request are short. */
static kms_err store_element(const struct row *row, char *home, struct kms_pair element,
                             struct kms_pool *pool)
{
    size_t size = row->kind == KIND_PAIRS ? sizeof element : sizeof element.name;
    size_t count = *(const size_t *)member_of(home, row->also);
    const void *old = *(const void *const *)member_of(home, row->at);
    char *list = kms_pool_alloc(pool, (count + 1) * size);
    if (list == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(list, old, count * size);
    kms_copy(list + count * size, &element, size); /* the name stands first in a pair */
    count++;
    kms_copy(home + row->at, &list, sizeof list);
    kms_copy(home + row->also, &count, sizeof count);
    return KMS_OK;
}

static kms_err store(const struct row *row, struct kms_access_request *request, struct kms_pair input,
                     struct kms_pool *pool)
{
    char *home = home_in(row, request, pool);
    if (home == NULL) return KMS_FAIL(NO_MEMORY);
    switch (row->kind) {
    case KIND_TEXT:
        kms_copy(home + row->at, &input.value, sizeof input.value);
        return KMS_OK;
    case KIND_FLAG:
    case KIND_ASKED:
        return store_flag(row, home, input.value);
    case KIND_TIME:
    case KIND_DAYS:
        return store_number(row, home, input.value);
    default:
        return store_element(row, home, input, pool);
    }
}

static bool cut_front(struct kms_bytes *name, const char *front)
{
    struct kms_bytes begin = kms_bytes_text(front);
    if (name->len < begin.len || !kms_folded_equal(kms_bytes_of(name->ptr, begin.len), begin)) return false;
    *name = kms_bytes_of(name->ptr + begin.len, name->len - begin.len);
    return true;
}

/* Does a record's name mean this row? Of lists and pairs, what follows "/" is the element, which may
 * be empty: requests that are refused for that are decided first. */
static bool called(const struct row *row, struct kms_bytes *name)
{
    if (row->kind != KIND_LIST && row->kind != KIND_PAIRS)
        return kms_folded_equal(*name, kms_bytes_text(row->name));
    struct kms_bytes rest = *name;
    if (!cut_front(&rest, row->name) || !cut_front(&rest, "/")) return false;
    *name = rest;
    return true;
}

kms_err kms_input_read(struct kms_access_request *request, enum kms_input_scope scope, struct kms_pair input,
                       struct kms_pool *pool)
{
    for (const struct row *row = rows; row < rows + KMS_INPUT_COUNT; row++)
        if (row->scope == scope && called(row, &input.name)) return store(row, request, input, pool);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* Does a condition key mean this row? The key of pairs ends in the name of one. */
static bool keyed(const struct row *row, struct kms_pair *input)
{
    struct kms_bytes name = input->name;
    if (row->kind == KIND_PAIRS) {
        if (!cut_front(&name, row->key) || name.len == 0) return false;
        input->name = name;
        return true;
    }
    if (!kms_folded_equal(name, kms_bytes_text(row->key))) return false;
    if (row->kind == KIND_LIST) *input = (struct kms_pair){.name = input->value};
    return true;
}

/* Keys that no request has here can be simulated all the same. */
static const struct row foreign = {.kind = KIND_PAIRS,
                                   .of_operation = true,
                                   .at = offsetof(struct kms_operation_inputs, foreign),
                                   .also = offsetof(struct kms_operation_inputs, foreign_count)};

kms_err kms_input_set(struct kms_access_request *request, struct kms_pair input, struct kms_pool *pool,
                      struct kms_why *why)
{
    static const char *const wanted[] = {[KIND_FLAG] = "true or false",
                                         [KIND_ASKED] = "true or false",
                                         [KIND_TIME] = "a time (2026-11-22T12:00:00Z)",
                                         [KIND_DAYS] = "a number of days",
                                         [KIND_PAIRS] = NULL};
    const char *keys[KMS_INPUT_COUNT];
    const struct kms_pair given = input;
    for (const struct row *row = rows; row < rows + KMS_INPUT_COUNT; row++) {
        keys[row - rows] = row->key;
        if (!keyed(row, &input)) continue;
        kms_err err = given.value.len > 0 ? store(row, request, input, pool) : KMS_FAIL(INVALID_ARGUMENT);
        if (kms_is(err, KMS_E_INVALID_ARGUMENT))
            kms_why_set(why, "%s: '%s' is not %s", row->key, kms_show(given.value).text,
                        wanted[row->kind] != NULL ? wanted[row->kind] : "a value");
        return err;
    }
    struct kms_bytes rest;
    enum kms_condition_key key = kms_condition_key_called(given.name, &rest);
    if (key < KMS_CONDITION_KEY_COUNT && kms_condition_key_rows[key].about == KMS_ABOUT_NOTHING)
        return store(&foreign, request, given, pool);
    kms_why_set(why, "no request has '%s'%s", kms_show(given.name).text,
                kms_similar(given.name, keys, KMS_INPUT_COUNT).text);
    return KMS_FAIL(INVALID_ARGUMENT);
}
