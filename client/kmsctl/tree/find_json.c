/*
 * Reads JSON (RFC 8259) for its texts and the members that name them. Lenient where that changes neither: in
 * numbers and words, commas, and comments, which many a .json file has.
 */
#include <string.h>

#include "client/kmsctl/tree/find.h"
#include "client/kmsctl/tree/nest.h"

struct scan {
    const uint8_t *text;
    size_t at, end;
    ctl_nest nest;
    kms_buf decoded; /* the text that was read last */
    struct kms_why *why;
};

static void scan_free(struct scan *s)
{
    ctl_nest_free(&s->nest);
    kms_buf_free(&s->decoded);
}

static kms_err refuse(const struct scan *s, size_t at, const char *what)
{
    unsigned line = 1;
    for (size_t i = 0; i < at; i++) line += s->text[i] == '\n';
    kms_why_set(s->why, "not JSON: line %u: %s", line, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static bool begins(const struct scan *s, const char *with)
{
    size_t len = strlen(with);
    return s->end - s->at >= len && memcmp(s->text + s->at, with, len) == 0;
}

/* 4 hex digits at `at`, which goes behind them; -1: they are not there. */
static int take_unit(struct scan *s)
{
    uint8_t unit[2];
    if (s->end - s->at < 4 || !kms_unhex((const char *)s->text + s->at, 4, unit, sizeof unit)) return -1;
    s->at += 4;
    return unit[0] << 8 | unit[1];
}

static kms_err put_code_point(kms_buf *out, unsigned code)
{
    uint8_t utf8[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i > 1; i--, code >>= 6) utf8[i - 1] = (uint8_t)(0x80 | (code & 0x3f));
    utf8[0] = (uint8_t)(first[len] | code);
    return kms_buf_append(out, utf8, len);
}

/* Behind "\u". A code point above U+FFFF is a pair of units. */
static kms_err take_code_point(struct scan *s, size_t from)
{
    int high = take_unit(s);
    if (high < 0) return refuse(s, from, "\\u without four hex digits");
    if (high < 0xd800 || high > 0xdfff) return put_code_point(&s->decoded, (unsigned)high);
    int low = -1;
    if (begins(s, "\\u")) {
        s->at += 2;
        low = take_unit(s);
    }
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) return refuse(s, from, "half of a surrogate pair");
    return put_code_point(&s->decoded, 0x10000 + (((unsigned)high & 0x3ff) << 10) + ((unsigned)low & 0x3ff));
}

static kms_err take_escape(struct scan *s)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    size_t from = s->at++;
    const char letter = s->at < s->end ? (char)s->text[s->at] : '\0';
    s->at++;
    if (letter == 'u') return take_code_point(s, from);
    const char *known = letter != '\0' ? strchr(letters, letter) : NULL;
    if (known == NULL) return refuse(s, from, "an unknown escape");
    return kms_buf_append(&s->decoded, &meanings[known - letters], 1);
}

static kms_err take_text(struct scan *s)
{
    size_t from = s->at++;
    s->decoded.len = 0;
    while (s->at < s->end && s->text[s->at] != '"') {
        if (s->text[s->at] == '\n') break;
        if (s->text[s->at] == '\\')
            KMS_TRY(take_escape(s));
        else
            KMS_TRY(kms_buf_append(&s->decoded, &s->text[s->at++], 1));
    }
    if (s->at >= s->end || s->text[s->at] != '"') return refuse(s, from, "a quote that is not closed");
    s->at++;
    return ctl_nest_text(&s->nest, kms_buf_view(&s->decoded), kms_bytes_of(s->text + from, s->at - from));
}

static kms_err skip_comment(struct scan *s)
{
    const bool one_line = begins(s, "//");
    const char *close = one_line ? "\n" : "*/";
    const uint8_t *end = memmem(s->text + s->at + 2, s->end - s->at - 2, close, strlen(close));
    if (end == NULL && !one_line) return refuse(s, s->at, "a comment that is not closed");
    s->at = end != NULL ? (size_t)(end - s->text) + strlen(close) : s->end;
    return KMS_OK;
}

/* A number or a word. */
static kms_err take_other(struct scan *s)
{
    size_t from = s->at;
    while (s->at < s->end && strchr("\"{}[]:,/ \t\r\n", s->text[s->at]) == NULL) s->at++;
    return s->at > from ? ctl_nest_other(&s->nest) : refuse(s, from, "a value was expected");
}

static kms_err take_close(struct scan *s, bool map)
{
    if (!ctl_nest_close(&s->nest, map)) return refuse(s, s->at, "a bracket that closes nothing");
    s->at++;
    return KMS_OK;
}

static kms_err take_open(struct scan *s, bool map)
{
    kms_err err = ctl_nest_open(&s->nest, map);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
        kms_why_set(s->why, "nested deeper than %d levels", CTL_NEST_DEPTH);
    s->at++;
    return err;
}

static kms_err step(struct scan *s)
{
    if (begins(s, "//") || begins(s, "/*")) return skip_comment(s);
    switch (s->text[s->at]) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ':':
    case ',':
        s->at++;
        return KMS_OK;
    case '{':
    case '[':
        return take_open(s, s->text[s->at] == '{');
    case '}':
    case ']':
        return take_close(s, s->text[s->at] == '}');
    case '"':
        return take_text(s);
    default:
        return take_other(s);
    }
}

kms_err ctl_find_json(ctl_values *values, struct kms_why *why)
{
    __attribute__((cleanup(scan_free))) struct scan s = {
        .text = values->text.ptr, .end = values->text.len, .nest = {.values = values}, .why = why};
    if (begins(&s, "\xef\xbb\xbf")) s.at = 3; /* a byte order mark */
    while (s.at < s.end) KMS_TRY(step(&s));
    return s.nest.depth == 0 ? KMS_OK : refuse(&s, s.end, "it ends inside a bracket");
}
