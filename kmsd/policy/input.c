/* The table of inputs at work. */
#include "kmsd/policy/input.h"

#include <string.h>

#include "kmsd/policy/complain.h"
#include "kmsd/policy/match.h"
#include "kmsd/policy/value.h"

enum kind { KIND_TEXT, KIND_FLAG, KIND_ASKED, KIND_TIME };
enum when { WHEN_NEVER, WHEN_ON_KEY, WHEN_SEALING, WHEN_DEFAULT_ARN };

struct row {
    const char *name, *key;
    enum kind kind;
    enum kms_input_scope scope;
    size_t at, known; /* offsets; known of ASKED only */
    enum when when;
    const char *usual;
};

#define KNOWN_TEXT(member)  0
#define KNOWN_FLAG(member)  0
#define KNOWN_TIME(member)  0
#define KNOWN_ASKED(member) offsetof(struct kms_access_request, member##_known)
#define NEVER               .when = WHEN_NEVER
#define ON_KEY(text)        .when = WHEN_ON_KEY, .usual = (text)
#define SEALING(text)       .when = WHEN_SEALING, .usual = (text)
#define DEFAULT_ARN         .when = WHEN_DEFAULT_ARN

static const struct row rows[KMS_INPUT_COUNT] = {
#define KMS_INPUT(member, k, kd, sc, us)                                                                     \
    [KMS_INPUT_OF_##member] = {.name = #member,                                                              \
                               .key = (k),                                                                   \
                               .kind = KIND_##kd,                                                            \
                               .scope = KMS_INPUT_##sc,                                                      \
                               .at = offsetof(struct kms_access_request, member),                            \
                               .known = KNOWN_##kd(member),                                                  \
                               us},
#include "kmsd/policy/input.def"
#undef KMS_INPUT
};

const char *kms_input_name(enum kms_input input)
{
    return rows[input].name;
}

const char *kms_input_key(enum kms_input input)
{
    return rows[input].key;
}

static const void *member_of(const struct kms_access_request *request, size_t offset)
{
    return (const char *)request + offset;
}

static void *member_in(struct kms_access_request *request, size_t offset)
{
    return (char *)request + offset;
}

static bool flag_at(const struct kms_access_request *request, size_t offset)
{
    return *(const bool *)member_of(request, offset);
}

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
        return request->resource.len > 0 ? usual : absent;
    case WHEN_SEALING:
        return request->resource.len > 0 && seals(request->action) ? usual : absent;
    case WHEN_DEFAULT_ARN:
        return default_arn(request->resource) ? request->resource : absent;
    default:
        return absent;
    }
}

/* False: nothing to say. */
static bool value_of(const struct row *row, const struct kms_access_request *request,
                     struct kms_bytes *ret_value)
{
    static const char *const words[] = {"false", "true"};
    if (row->kind == KIND_TEXT) {
        struct kms_bytes value = *(const struct kms_bytes *)member_of(request, row->at);
        struct kms_bytes usual = usual_of(row, request);
        *ret_value = value;
        return (value.ptr == NULL) != (usual.ptr == NULL) || !kms_bytes_equal(value, usual);
    }
    *ret_value = kms_bytes_text(words[flag_at(request, row->at)]);
    return row->kind == KIND_ASKED ? flag_at(request, row->known) : flag_at(request, row->at);
}

size_t kms_inputs_of(const struct kms_access_request *request, enum kms_input_scope scope,
                     struct kms_pair inputs[KMS_INPUT_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < KMS_INPUT_COUNT; i++) {
        struct kms_bytes value;
        if (rows[i].scope != scope || rows[i].kind == KIND_TIME) continue;
        if (!value_of(&rows[i], request, &value)) continue;
        inputs[count++] = (struct kms_pair){.name = kms_bytes_text(rows[i].name), .value = value};
    }
    return count;
}

void kms_inputs_usual(struct kms_access_request *request)
{
    for (size_t i = 0; i < KMS_INPUT_COUNT; i++) {
        if (rows[i].kind == KIND_TEXT && rows[i].when != WHEN_DEFAULT_ARN)
            *(struct kms_bytes *)member_in(request, rows[i].at) = usual_of(&rows[i], request);
        if (rows[i].kind == KIND_FLAG || rows[i].kind == KIND_ASKED)
            *(bool *)member_in(request, rows[i].at) = false;
        if (rows[i].kind == KIND_ASKED) *(bool *)member_in(request, rows[i].known) = false;
    }
}

static bool store_flag(const struct row *row, struct kms_access_request *request, struct kms_bytes value)
{
    int64_t flag;
    if (!kms_value_flag(value, &flag)) return false;
    *(bool *)member_in(request, row->at) = flag != 0;
    if (row->kind == KIND_ASKED) *(bool *)member_in(request, row->known) = true;
    return true;
}

static bool store(const struct row *row, struct kms_access_request *request, struct kms_bytes value)
{
    int64_t time_us;
    switch (row->kind) {
    case KIND_TEXT:
        *(struct kms_bytes *)member_in(request, row->at) = value;
        return true;
    case KIND_TIME:
        if (!kms_value_date(value, &time_us) || time_us < 0) return false;
        *(uint64_t *)member_in(request, row->at) = (uint64_t)time_us;
        return true;
    default:
        return store_flag(row, request, value);
    }
}

bool kms_input_read(struct kms_access_request *request, enum kms_input_scope scope, struct kms_bytes name,
                    struct kms_bytes value)
{
    for (size_t i = 0; i < KMS_INPUT_COUNT; i++)
        if (rows[i].scope == scope && kms_bytes_equal(name, kms_bytes_text(rows[i].name)))
            return store(&rows[i], request, value);
    return false;
}

kms_err kms_input_set(struct kms_access_request *request, struct kms_bytes name, struct kms_bytes value,
                      struct kms_why *why)
{
    static const char *const wanted[] = {[KIND_TEXT] = "a text",
                                         [KIND_FLAG] = "true or false",
                                         [KIND_ASKED] = "true or false",
                                         [KIND_TIME] = "a time (2026-11-22T12:00:00Z)"};
    const char *keys[KMS_INPUT_COUNT];
    for (size_t i = 0; i < KMS_INPUT_COUNT; i++) {
        keys[i] = rows[i].key;
        if (!kms_folded_equal(name, kms_bytes_text(rows[i].key)) &&
            !kms_folded_equal(name, kms_bytes_text(rows[i].name)))
            continue;
        if (value.len > 0 && store(&rows[i], request, value)) return KMS_OK;
        kms_why_set(why, "%s: '%s' is not %s", rows[i].key, kms_show(value).text, wanted[rows[i].kind]);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    kms_why_set(why, "no request has '%s'%s", kms_show(name).text,
                kms_similar(name, keys, KMS_INPUT_COUNT).text);
    return KMS_FAIL(INVALID_ARGUMENT);
}
