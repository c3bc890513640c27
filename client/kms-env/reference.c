/* Reads a reference from left to right. */
#include "client/kms-env/reference.h"

#include <string.h>

#include "base/text.h"

struct walk {
    struct kms_bytes text;
    size_t at;
    struct kms_why *why;
};

static bool begins(struct kms_bytes text, const char *with)
{
    size_t len = strlen(with);
    return text.len >= len && memcmp(text.ptr, with, len) == 0;
}

bool kms_env_reference_is(struct kms_bytes text)
{
    return begins(text, KMS_ENV_SECRET_SCHEME) || begins(text, KMS_ENV_DB_SCHEME);
}

bool kms_env_reference_is_role(struct kms_bytes text)
{
    return begins(text, KMS_ENV_DB_SCHEME);
}

static kms_err refuse_at(const struct walk *w, size_t at, const char *what)
{
    kms_why_set(w->why, "column %zu of the reference: %s", at + 1, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static bool name_byte(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("/_+=.@-", c) != NULL);
}

/* The first byte of a part between slashes that is empty, "." or ".."; NO_PART: none is. */
#define NO_PART SIZE_MAX
static size_t bad_part(struct kms_bytes name)
{
    for (size_t from = 0; from <= name.len;) {
        size_t to = from;
        while (to < name.len && name.ptr[to] != '/') to++;
        size_t dots = 0;
        while (from + dots < to && name.ptr[from + dots] == '.') dots++;
        if (dots == to - from && dots <= 2) return from;
        from = to + 1;
    }
    return NO_PART;
}

static size_t bad_byte(struct kms_bytes name)
{
    size_t at = 0;
    while (at < name.len && name_byte(name.ptr[at])) at++;
    return at;
}

bool kms_env_reference_name_valid(struct kms_bytes name)
{
    return name.len > 0 && name.len <= KMS_ENV_REFERENCE_NAME_BYTES && bad_byte(name) == name.len &&
           bad_part(name) == NO_PART;
}

/* From here to the next # or ?, or the end. */
static struct kms_bytes piece(struct walk *w)
{
    size_t from = w->at;
    while (w->at < w->text.len && w->text.ptr[w->at] != '#' && w->text.ptr[w->at] != '?') w->at++;
    return kms_bytes_of(w->text.ptr + from, w->at - from);
}

static kms_err take_name(struct walk *w, struct kms_bytes *ret_name)
{
    size_t from = w->at;
    struct kms_bytes name = piece(w);
    size_t bad = bad_byte(name);
    if (name.len == 0) return refuse_at(w, from, "a name was expected");
    if (bad < name.len)
        return refuse_at(w, from + bad, "a name has A-Z a-z 0-9 / _ + = . @ - and nothing else");
    if (name.len > KMS_ENV_REFERENCE_NAME_BYTES)
        return refuse_at(w, from + KMS_ENV_REFERENCE_NAME_BYTES, "a name has at most 512 bytes");
    if (!kms_env_reference_name_valid(name))
        return refuse_at(w, from + bad_part(name), "an empty part, \".\" or \"..\" between slashes");
    *ret_name = name;
    return KMS_OK;
}

static kms_err take_field(struct walk *w, struct kms_bytes *field)
{
    size_t from = w->at;
    if (field->len > 0) return refuse_at(w, from - 1, "a second field");
    *field = piece(w);
    if (field->len == 0) return refuse_at(w, from, "the name of a field was expected");
    if (field->len > KMS_ENV_REFERENCE_FIELD_BYTES)
        return refuse_at(w, from + KMS_ENV_REFERENCE_FIELD_BYTES, "a field has at most 256 bytes");
    for (size_t i = 0; i < field->len; i++)
        if (field->ptr[i] < 0x20 || field->ptr[i] == 0x7f)
            return refuse_at(w, from + i, "a control character");
    if (!kms_utf8_valid(*field)) return refuse_at(w, from, "not valid UTF-8");
    return KMS_OK;
}

static kms_err check_word(const struct walk *w, struct kms_bytes word, size_t most)
{
    const size_t from = (size_t)(word.ptr - w->text.ptr);
    if (word.len == 0) return refuse_at(w, from, "a value was expected behind =");
    if (word.len > most) return refuse_at(w, from + most, "too long");
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '&') return refuse_at(w, from + i, "stage and version exclude each other");
        if (word.ptr[i] <= ' ' || word.ptr[i] > '~') return refuse_at(w, from + i, "not visible ASCII");
    }
    return KMS_OK;
}

static kms_err take_query(struct walk *w, struct kms_env_reference *reference)
{
    static const char stage[] = "stage=", version[] = "version=";
    size_t from = w->at;
    if (reference->stage.len > 0 || reference->version.len > 0)
        return refuse_at(w, from - 1, "a second stage or version");
    struct kms_bytes query = piece(w);
    if (begins(query, stage)) {
        reference->stage = kms_bytes_of(query.ptr + strlen(stage), query.len - strlen(stage));
        return check_word(w, reference->stage, KMS_ENV_REFERENCE_STAGE_BYTES);
    }
    if (!begins(query, version)) return refuse_at(w, from, "stage= or version= was expected");
    reference->version = kms_bytes_of(query.ptr + strlen(version), query.len - strlen(version));
    return check_word(w, reference->version, KMS_ENV_REFERENCE_VERSION_BYTES);
}

static kms_err check_db(const struct walk *w, const struct kms_env_reference *reference)
{
    if (reference->stage.len > 0 || reference->version.len > 0)
        return refuse_at(w, 0, "a database role has neither stage nor version");
    if (kms_bytes_equal(reference->field, kms_bytes_text("username")) ||
        kms_bytes_equal(reference->field, kms_bytes_text("password")))
        return KMS_OK;
    const bool none = reference->field.len == 0;
    return refuse_at(w, none ? w->text.len : (size_t)(reference->field.ptr - w->text.ptr),
                     none ? "#username or #password was expected" : "username or password was expected");
}

kms_err kms_env_reference_parse(struct kms_bytes text, struct kms_env_reference *ret_reference,
                                struct kms_why *why)
{
    const bool db = kms_env_reference_is_role(text);
    struct kms_env_reference reference = {.kind = db ? KMS_ENV_REFERENCE_DB : KMS_ENV_REFERENCE_SECRET};
    struct walk w = {.text = text, .why = why};
    if (!kms_env_reference_is(text))
        return refuse_at(&w, 0, KMS_ENV_SECRET_SCHEME " or " KMS_ENV_DB_SCHEME " was expected");
    w.at = strlen(db ? KMS_ENV_DB_SCHEME : KMS_ENV_SECRET_SCHEME);
    KMS_TRY(take_name(&w, &reference.name));
    while (w.at < text.len) {
        const bool field = text.ptr[w.at++] == '#';
        KMS_TRY(field ? take_field(&w, &reference.field) : take_query(&w, &reference));
    }
    if (db) KMS_TRY(check_db(&w, &reference));
    if (!db && reference.version.len == 0 && reference.stage.len == 0)
        reference.stage = kms_bytes_text(KMS_ENV_DEFAULT_STAGE);
    *ret_reference = reference;
    return KMS_OK;
}
