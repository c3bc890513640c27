/* A scanner that skips, and says where things are. */
#include "kmsd/rotators/value.h"

#include <string.h>

#include "base/text.h"

/* at reaches end, or bad is set and stays. */
struct scan {
    const uint8_t *at, *end;
    bool bad;
};

static int peek(const struct scan *s)
{
    return s->bad || s->at == s->end ? -1 : *s->at;
}

static bool take(struct scan *s, int c)
{
    if (peek(s) != c) return false;
    s->at++;
    return true;
}

static void need(struct scan *s, int c)
{
    if (!take(s, c)) s->bad = true;
}

static void skip_blanks(struct scan *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r') s->at++;
}

static void skip_digits(struct scan *s)
{
    if (peek(s) < '0' || peek(s) > '9') s->bad = true;
    while (peek(s) >= '0' && peek(s) <= '9') s->at++;
}

static void skip_number(struct scan *s)
{
    (void)take(s, '-');
    if (!take(s, '0')) skip_digits(s);
    if (take(s, '.')) skip_digits(s);
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+')) (void)take(s, '-');
        skip_digits(s);
    }
}

static int hex_digit(int c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Behind a backslash. */
static void skip_escape(struct scan *s)
{
    int c = peek(s);
    if (c <= 0 || strchr("\"\\/bfnrtu", c) == NULL) {
        s->bad = true;
        return;
    }
    s->at++;
    for (int i = 0; c == 'u' && i < 4; i++) {
        if (hex_digit(peek(s)) < 0)
            s->bad = true;
        else
            s->at++;
    }
}

/* A string with its quotes; what is between them, escaped as it is. */
static struct kms_bytes skip_string(struct scan *s)
{
    need(s, '"');
    const uint8_t *start = s->at;
    for (int c; (c = peek(s)) != '"';) {
        if (c < ' ') { /* also the end */
            s->bad = true;
            return (struct kms_bytes){0};
        }
        s->at++;
        if (c == '\\') skip_escape(s);
    }
    struct kms_bytes inside = kms_bytes_of(start, (size_t)(s->at - start));
    if (!kms_utf8_valid(inside)) s->bad = true;
    s->at++;
    return inside;
}

static void skip_word(struct scan *s, const char *word)
{
    while (*word != '\0') need(s, *word++);
}

static void skip_value(struct scan *s, unsigned depth);

/* The members of an object or the items of an array, to its closing sign. */
static void skip_list(struct scan *s, bool object, unsigned depth)
{
    int close = object ? '}' : ']';
    s->at++;
    skip_blanks(s);
    if (take(s, close)) return;
    do {
        skip_blanks(s);
        if (object) {
            (void)skip_string(s);
            skip_blanks(s);
            need(s, ':');
        }
        skip_value(s, depth + 1);
    } while (take(s, ','));
    need(s, close);
}

/* With the blanks around it. */
static void skip_value(struct scan *s, unsigned depth)
{
    skip_blanks(s);
    int c = peek(s);
    if (depth > KMS_VALUE_DEPTH_MAX)
        s->bad = true;
    else if (c == '{' || c == '[')
        skip_list(s, c == '{', depth);
    else if (c == '"')
        (void)skip_string(s);
    else if (c == 't' || c == 'f' || c == 'n')
        skip_word(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
    else
        skip_number(s);
    skip_blanks(s);
}

/* The next member of the object that is being walked; false: there is none, or it is bad. */
static bool next_member(struct scan *s, bool first, struct kms_bytes *ret_name, struct kms_bytes *ret_raw)
{
    skip_blanks(s);
    if (take(s, '}')) {
        s->bad = s->bad || !first;
        return false;
    }
    *ret_name = skip_string(s);
    skip_blanks(s);
    need(s, ':');
    skip_blanks(s);
    const uint8_t *start = s->at;
    skip_value(s, 1);
    const uint8_t *end = s->at;
    while (end > start && strchr(" \t\n\r", end[-1]) != NULL) end--;
    *ret_raw = kms_bytes_of(start, (size_t)(end - start));
    return !s->bad;
}

/* Walks the members; how many are called name (all of them, if NULL). */
static size_t walk(struct kms_bytes text, struct kms_bytes name, bool *ret_object, struct kms_bytes *ret_raw)
{
    struct scan s = {text.ptr, text.ptr + text.len, text.len == 0};
    struct kms_bytes found, raw;
    size_t count = 0;
    skip_blanks(&s);
    need(&s, '{');
    for (bool first = true, more = true; more; first = false) {
        if (!next_member(&s, first, &found, &raw)) break;
        if (kms_bytes_equal(found, name)) {
            count++;
            *ret_raw = raw;
        }
        more = take(&s, ',');
        if (!more) need(&s, '}');
    }
    skip_blanks(&s);
    *ret_object = !s.bad && s.at == s.end;
    return count;
}

bool kms_value_is_object(struct kms_bytes text)
{
    bool object;
    struct kms_bytes raw, none = kms_bytes_text("");
    (void)walk(text, none, &object, &raw);
    return object;
}

bool kms_value_member(struct kms_bytes text, const char *name, struct kms_bytes *ret_raw)
{
    bool object;
    struct kms_bytes raw = {0};
    if (walk(text, kms_bytes_text(name), &object, &raw) != 1 || !object) return false;
    *ret_raw = raw;
    return true;
}

static uint32_t read_hex(const uint8_t *four)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) code = code << 4 | (uint32_t)hex_digit(four[i]);
    return code;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
    } else if (code < 0x800) {
        *to++ = (uint8_t)(0xc0 | code >> 6);
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (uint8_t)(0xe0 | code >> 12);
        *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | code >> 18);
        *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return to;
}

/* \uXXXX at *at, perhaps with its second half. NULL: NUL, or half a pair. */
static uint8_t *put_code(uint8_t *to, const uint8_t **at, const uint8_t *end)
{
    uint32_t code = read_hex(*at);
    *at += 4;
    if (code == 0 || (code >= 0xdc00 && code < 0xe000)) return NULL;
    if (code >= 0xd800 && code < 0xdc00) {
        if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') return NULL;
        uint32_t low = read_hex(*at + 2);
        if (low < 0xdc00 || low >= 0xe000) return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    }
    return put_utf8(to, code);
}

/* What a string means, which is never longer than what is written. NULL: put_code's reasons. */
static uint8_t *unescape(uint8_t *to, struct kms_bytes inside)
{
    static const char signs[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const uint8_t *end = inside.ptr + inside.len;
    for (const uint8_t *at = inside.ptr; at < end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        uint8_t c = at[1];
        at += 2;
        const char *sign = strchr(signs, c);
        if (c == 'u')
            to = put_code(to, &at, end);
        else
            *to++ = sign != NULL ? (uint8_t)meanings[sign - signs] : c;
        if (to == NULL) return NULL;
    }
    return to;
}

size_t kms_value_unescape(struct kms_bytes inside, uint8_t *to)
{
    const uint8_t *end = unescape(to, inside);
    return end != NULL ? (size_t)(end - to) : SIZE_MAX;
}

void kms_value_each(struct kms_bytes text, void (*each)(void *user, struct kms_bytes inside), void *user)
{
    struct scan s = {text.ptr, text.ptr + text.len, false};
    if (!kms_value_is_object(text)) return;
    while (s.at < s.end) {
        if (*s.at != '"') {
            s.at++;
            continue;
        }
        struct kms_bytes inside = skip_string(&s);
        skip_blanks(&s);
        if (peek(&s) != ':') each(user, inside);
    }
}

/* Cuts what was too much: a secret says its length. */
static kms_err give_exact(kms_secret *long_one, size_t len, kms_secret **ret_secret)
{
    KMS_TRY(kms_secret_new(len, ret_secret));
    kms_copy(kms_secret_data(*ret_secret), kms_secret_data(long_one), len);
    return KMS_OK;
}

kms_err kms_value_text(struct kms_bytes raw, kms_secret **ret_text, bool *ret_is)
{
    struct scan s = {raw.ptr, raw.ptr + raw.len, raw.len == 0};
    bool string = peek(&s) == '"', number = (peek(&s) >= '0' && peek(&s) <= '9') || peek(&s) == '-';
    *ret_is = false;
    if (!string && !number) return KMS_OK;
    struct kms_bytes inside = raw;
    if (string)
        inside = skip_string(&s);
    else
        skip_number(&s);
    if (s.bad || s.at != s.end) return KMS_OK;
    KMS_OWN(kms_secret) text = NULL;
    KMS_TRY(kms_secret_new(inside.len + 1, &text));
    uint8_t *end = unescape(kms_secret_data(text), inside);
    if (end == NULL) return KMS_OK;
    *end = 0;
    KMS_TRY(give_exact(text, (size_t)(end - kms_secret_data(text)) + 1, ret_text));
    *ret_is = true;
    return KMS_OK;
}

static bool is_control(uint8_t c)
{
    return c < ' ' || c == 0x7f;
}

size_t kms_value_size(struct kms_bytes text)
{
    size_t size = 2;
    for (size_t i = 0; i < text.len; i++)
        size += is_control(text.ptr[i]) ? 6 : text.ptr[i] == '"' || text.ptr[i] == '\\' ? 2 : 1;
    return size;
}

uint8_t *kms_value_put(uint8_t *to, struct kms_bytes text)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = c;
        } else if (is_control(c)) {
            kms_copy(to, "\\u00", 4);
            to[4] = (uint8_t)hex[c >> 4];
            to[5] = (uint8_t)hex[c & 15];
            to += 6;
        } else {
            *to++ = c;
        }
    }
    *to++ = '"';
    return to;
}

kms_err kms_value_replace(struct kms_bytes text, const char *name, struct kms_bytes string,
                          kms_secret **ret_text)
{
    struct kms_bytes raw;
    if (!kms_utf8_valid(string) || !kms_value_member(text, name, &raw)) return KMS_FAIL(INVALID_ARGUMENT);
    size_t size = text.len - raw.len + kms_value_size(string), before = (size_t)(raw.ptr - text.ptr);
    if (size > KMS_SECRET_MAX_BYTES / 2) return KMS_FAIL(LIMIT_EXCEEDED);
    KMS_OWN(kms_secret) whole = NULL;
    KMS_TRY(kms_secret_new(size, &whole));
    uint8_t *to = kms_secret_data(whole);
    kms_copy(to, text.ptr, before);
    to = kms_value_put(to + before, string);
    kms_copy(to, raw.ptr + raw.len, text.len - before - raw.len);
    *ret_text = KMS_GIVE(whole);
    return KMS_OK;
}
