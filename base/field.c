/* A reader of JSON that looks for one member, and checks all of the text on its way. */
#include "base/field.h"

#include <string.h>

#include "base/text.h"

struct reader {
    struct kms_bytes text;
    size_t at;
    unsigned depth;
};

static int peek(const struct reader *r)
{
    return r->at < r->text.len ? r->text.ptr[r->at] : -1;
}

static void blanks(struct reader *r)
{
    while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r') r->at++;
}

static bool take(struct reader *r, int c)
{
    if (peek(r) != c) return false;
    r->at++;
    return true;
}

static bool four_digits(struct reader *r, uint32_t *ret_unit)
{
    uint8_t bytes[2];
    if (r->text.len - r->at < 4 || !kms_unhex((const char *)r->text.ptr + r->at, 4, bytes, 2)) return false;
    *ret_unit = (uint32_t)bytes[0] << 8 | bytes[1];
    r->at += 4;
    return true;
}

/* Behind \u; a surrogate needs its other half (RFC 8259, section 7). */
static bool code_point(struct reader *r, uint32_t *ret_code)
{
    uint32_t high, low;
    if (!four_digits(r, &high)) return false;
    *ret_code = high;
    if (high < 0xd800 || high > 0xdfff) return true;
    if (high > 0xdbff || !take(r, '\\') || !take(r, 'u') || !four_digits(r, &low)) return false;
    *ret_code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff;
}

static size_t encode(uint32_t code, uint8_t *to)
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    const size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes behind the first */
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (uint8_t)(first[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++) to[i] = (uint8_t)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

static bool escape(struct reader *r, uint8_t *to, size_t *len)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const int c = peek(r);
    const char *known = c > 0 ? strchr(letters, c) : NULL;
    uint32_t code;
    if (c < 0) return false;
    r->at++;
    if (known != NULL)
        code = (uint8_t)meanings[known - letters];
    else if (c != 'u' || !code_point(r, &code))
        return false;
    *len += encode(code, to + *len);
    return true;
}

/* to has room for what is left of the text: decoding makes nothing longer. */
static bool string(struct reader *r, uint8_t *to, size_t *ret_len)
{
    size_t len = 0;
    if (!take(r, '"')) return false;
    for (int c; (c = peek(r)) != '"';) {
        if (c < 0x20) return false; /* the end of the text too */
        r->at++;
        if (c != '\\')
            to[len++] = (uint8_t)c;
        else if (!escape(r, to, &len))
            return false;
    }
    r->at++;
    *ret_len = len;
    return true;
}

static bool digits(struct reader *r)
{
    size_t from = r->at;
    while (peek(r) >= '0' && peek(r) <= '9') r->at++;
    return r->at > from;
}

static bool number(struct reader *r)
{
    (void)take(r, '-');
    if (!take(r, '0') && !digits(r)) return false;
    if (take(r, '.') && !digits(r)) return false;
    if (!take(r, 'e') && !take(r, 'E')) return true;
    (void)(take(r, '+') || take(r, '-'));
    return digits(r);
}

static bool word(struct reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i]);
        if (r->text.len - r->at < len || memcmp(r->text.ptr + r->at, words[i], len) != 0) continue;
        r->at += len;
        return true;
    }
    return false;
}

static bool value(struct reader *r, uint8_t *scratch);

/* The members of an object, or the elements of an array, behind what opened it. */
static bool elements(struct reader *r, uint8_t *scratch, int end)
{
    size_t len;
    if (++r->depth > KMS_FIELD_DEPTH) return false;
    blanks(r);
    if (!take(r, end)) {
        do {
            blanks(r);
            if (end == '}' && (!string(r, scratch, &len) || (blanks(r), !take(r, ':')))) return false;
            if (!value(r, scratch)) return false;
        } while (take(r, ','));
        if (!take(r, end)) return false;
    }
    r->depth--;
    return true;
}

/* With the blanks on both sides. */
static bool value(struct reader *r, uint8_t *scratch)
{
    size_t len;
    bool good;
    blanks(r);
    if (peek(r) == '"')
        good = string(r, scratch, &len);
    else if (take(r, '{'))
        good = elements(r, scratch, '}');
    else if (take(r, '['))
        good = elements(r, scratch, ']');
    else
        good = word(r) || number(r);
    blanks(r);
    return good;
}

struct search {
    struct reader reader;
    struct kms_bytes name;
    uint8_t *scratch;
    struct kms_bytes found; /* the value as it stands there, blanks around it */
    unsigned times;
};

static bool member(struct search *s)
{
    struct reader *r = &s->reader;
    size_t len;
    blanks(r);
    if (!string(r, s->scratch, &len)) return false;
    const bool wanted = kms_bytes_equal(kms_bytes_of(s->scratch, len), s->name);
    blanks(r);
    if (!take(r, ':')) return false;
    blanks(r);
    size_t from = r->at;
    if (!value(r, s->scratch)) return false;
    if (!wanted) return true;
    s->times++;
    s->found = kms_bytes_of(r->text.ptr + from, r->at - from);
    return true;
}

static bool object(struct search *s)
{
    struct reader *r = &s->reader;
    blanks(r);
    if (!take(r, '{')) return false;
    r->depth = 1;
    blanks(r);
    if (!take(r, '}')) {
        do {
            if (!member(s)) return false;
        } while (take(r, ','));
        if (!take(r, '}')) return false;
    }
    blanks(r);
    return r->at == r->text.len;
}

/* What was found, for the caller: written to out, which has room for it. */
static size_t render(struct kms_bytes found, uint8_t *out)
{
    struct reader r = {.text = found};
    size_t len = 0;
    if (found.ptr[0] == '"') return string(&r, out, &len) ? len : 0;
    for (bool quoted = false; r.at < found.len; r.at++) {
        const uint8_t c = found.ptr[r.at];
        if (!quoted && strchr(" \t\r\n", c) != NULL) continue;
        out[len++] = c;
        if (quoted && c == '\\') out[len++] = found.ptr[++r.at];
        if (c == '"') quoted = !quoted;
    }
    return len;
}

static kms_err result(const struct search *s, kms_secret **ret_value)
{
    size_t len = render(s->found, s->scratch);
    if (len == 0) return KMS_OK; /* only "" renders as nothing */
    KMS_TRY(kms_secret_new(len, ret_value));
    kms_copy(kms_secret_data(*ret_value), s->scratch, len);
    return KMS_OK;
}

static kms_err refuse(const struct search *s, struct kms_why *why)
{
    const bool twice = s->times > 1;
    if (s->times == 1 && s->found.ptr[0] != 'n') return KMS_OK;
    kms_why_set(why, "%s",
                twice           ? "the secret has this field more than once"
                : s->times == 1 ? "the field is null"
                                : "the secret has no such field");
    return s->times == 0 ? KMS_FAIL(NOT_FOUND) : KMS_FAIL(INVALID_ARGUMENT);
}

kms_err kms_field(struct kms_bytes json, struct kms_bytes name, kms_secret **ret_value, struct kms_why *why)
{
    KMS_OWN(kms_secret) scratch = NULL;
    KMS_OWN(kms_secret) found = NULL;
    struct search s = {.reader = {.text = json}, .name = name};
    if (json.len > 0) KMS_TRY(kms_secret_new(json.len, &scratch));
    if (scratch != NULL) s.scratch = kms_secret_data(scratch);
    if (scratch == NULL || !kms_utf8_valid(json) || !object(&s)) {
        kms_why_set(why, "the secret is no JSON object, so it has no fields");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(refuse(&s, why));
    KMS_TRY(result(&s, &found));
    *ret_value = KMS_GIVE(found);
    return KMS_OK;
}

/* What is written, when to is there; how long it is in any case. */
struct writer {
    uint8_t *to;
    size_t len;
};

static void write_bytes(struct writer *w, const void *data, size_t len)
{
    if (w->to != NULL) kms_copy(w->to + w->len, data, len);
    w->len += len;
}

static void write_text(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

static void write_value(struct writer *w, struct kms_bytes value)
{
    static const char digits[] = "0123456789abcdef";
    write_text(w, "\"");
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t c = value.ptr[i];
        const char escaped[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        if (c == '"' || c == '\\') write_text(w, "\\");
        if (c < 0x20)
            write_bytes(w, escaped, sizeof escaped);
        else
            write_bytes(w, &c, 1);
    }
    write_text(w, "\"");
}

static void write_member(struct writer *w, struct kms_bytes name, struct kms_bytes value)
{
    write_text(w, "\"");
    write_bytes(w, name.ptr, name.len);
    write_text(w, "\":");
    write_value(w, value);
}

/* The object again, with the member. */
static void write_object(struct writer *w, const struct search *s, struct kms_bytes value)
{
    const struct kms_bytes json = s->reader.text;
    if (s->times == 1) {
        const uint8_t *behind = s->found.ptr + s->found.len;
        write_bytes(w, json.ptr, (size_t)(s->found.ptr - json.ptr));
        write_value(w, value);
        write_bytes(w, behind, (size_t)(json.ptr + json.len - behind));
        return;
    }
    size_t end = json.len; /* of the last member, if there is one */
    while (json.ptr[end - 1] != '}') end--;
    size_t last = --end;
    while (strchr(" \t\r\n", json.ptr[last - 1]) != NULL) last--;
    write_bytes(w, json.ptr, last);
    if (json.ptr[last - 1] != '{') write_text(w, ",");
    write_member(w, s->name, value);
    write_text(w, "}");
}

kms_err kms_field_set(struct kms_bytes json, struct kms_bytes name, struct kms_bytes value,
                      kms_secret **ret_json, struct kms_why *why)
{
    KMS_OWN(kms_secret) scratch = NULL;
    KMS_OWN(kms_secret) made = NULL;
    if (json.len == 0) json = kms_bytes_text("{}");
    struct search s = {.reader = {.text = json}, .name = name};
    KMS_TRY(kms_secret_new(json.len, &scratch));
    s.scratch = kms_secret_data(scratch);
    if (!kms_utf8_valid(json) || !object(&s) || s.times > 1) {
        kms_why_set(why, "the secret is no JSON object, or has this field more than once");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    struct writer w = {.to = NULL};
    write_object(&w, &s, value);
    KMS_TRY(kms_secret_new(w.len, &made));
    w = (struct writer){.to = kms_secret_data(made)};
    write_object(&w, &s, value);
    *ret_json = KMS_GIVE(made);
    return KMS_OK;
}
