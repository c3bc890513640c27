/* A format is what stands around names and values, and what becomes of single bytes. */
#include "client/kms-env/format.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { DOCKER_LINE_BYTES = 64 * 1024 - 1 }; /* docker/cli reads lines with bufio.MaxScanTokenSize */

bool kms_env_format_named(const char *name, enum kms_env_format *ret_format)
{
    static const struct {
        const char *name;
        enum kms_env_format format;
    } rows[] = {
        {"env", KMS_ENV_FORMAT_ENV},         {"dotenv", KMS_ENV_FORMAT_DOTENV},
        {"compose", KMS_ENV_FORMAT_DOTENV},  {"shell", KMS_ENV_FORMAT_SHELL},
        {"json", KMS_ENV_FORMAT_JSON},       {"yaml", KMS_ENV_FORMAT_YAML},
        {"systemd", KMS_ENV_FORMAT_SYSTEMD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(name, rows[i].name) != 0) continue;
        *ret_format = rows[i].format;
        return true;
    }
    return false;
}

static bool has(struct kms_bytes value, const char *bytes)
{
    for (size_t i = 0; i < value.len; i++)
        if (strchr(bytes, value.ptr[i]) != NULL) return true;
    return false;
}

static const char *unfit(enum kms_env_format format, const struct kms_env_pair *pair)
{
    if (format == KMS_ENV_FORMAT_SHELL) return NULL;
    if (pair->value.len > 0 && !kms_utf8_valid(pair->value)) return "not valid UTF-8";
    if (format != KMS_ENV_FORMAT_ENV) return NULL;
    if (has(pair->value, "\r\n")) return "the format env has no line breaks in a value";
    if (pair->name.len + 1 + pair->value.len > DOCKER_LINE_BYTES)
        return "longer than a line of the format env";
    return NULL;
}

kms_err kms_env_format_check(enum kms_env_format format, const struct kms_env_pair *pairs, size_t count,
                             struct kms_why *why)
{
    for (size_t i = 0; i < count; i++) {
        const char *fault = unfit(format, &pairs[i]);
        if (fault == NULL) continue;
        kms_why_set(why, "%.*s: %s", (int)pairs[i].name.len, (const char *)pairs[i].name.ptr, fault);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

static kms_err put(struct kms_dotenv_sink sink, struct kms_bytes piece)
{
    return piece.len == 0 ? KMS_OK : sink.put(sink.self, piece);
}

static kms_err put_text(struct kms_dotenv_sink sink, const char *text)
{
    return put(sink, kms_bytes_text(text));
}

/* What stands in the place of the bytes at ptr, and how many they are; NULL: they stay. to is scratch. */
enum { REPLACEMENT_BYTES = 8 };
typedef const char *replace(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES], size_t *ret_taken);

static kms_err put_replaced(struct kms_dotenv_sink sink, struct kms_bytes value, replace *of)
{
    size_t from = 0, taken = 1;
    char scratch[REPLACEMENT_BYTES];
    for (size_t at = 0; at < value.len; at += taken) {
        taken = 1;
        const char *instead = of(value.ptr + at, value.len - at, scratch, &taken);
        if (instead == NULL) continue;
        KMS_TRY(put(sink, kms_bytes_of(value.ptr + from, at - from)));
        KMS_TRY(put_text(sink, instead));
        from = at + taken;
    }
    return put(sink, kms_bytes_of(value.ptr + from, value.len - from));
}

static const char *backslash(uint8_t c, char to[REPLACEMENT_BYTES])
{
    to[0] = '\\';
    to[1] = (char)c;
    to[2] = '\0';
    return to;
}

static const char *in_sh(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES], size_t *ret_taken)
{
    (void)left;
    (void)to;
    (void)ret_taken;
    return *ptr == '\'' ? "'\\''" : NULL;
}

static const char *in_systemd(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES], size_t *ret_taken)
{
    (void)left;
    (void)ret_taken;
    return strchr("\"\\`$", *ptr) != NULL ? backslash(*ptr, to) : NULL;
}

static const char *in_double_quotes(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES],
                                    size_t *ret_taken)
{
    (void)left;
    (void)ret_taken;
    if (*ptr == '\n') return "\\n";
    if (*ptr == '\r') return "\\r";
    return strchr("\"\\$", *ptr) != NULL ? backslash(*ptr, to) : NULL;
}

static const char *in_json(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES], size_t *ret_taken)
{
    (void)left;
    (void)ret_taken;
    if (*ptr == '"' || *ptr == '\\') return backslash(*ptr, to);
    if (*ptr == '\n') return "\\n";
    if (*ptr >= 0x20 && *ptr != 0x7f) return NULL;
    snprintf(to, REPLACEMENT_BYTES, "\\u%04x", *ptr);
    return to;
}

/* A quoted scalar of YAML 1.1 and 1.2 is one of JSON, but that it has fewer printable characters, and more
 * that break a line: U+0080 to U+009F, U+2028 and U+2029, U+FEFF. */
static const char *in_yaml(const uint8_t *ptr, size_t left, char to[REPLACEMENT_BYTES], size_t *ret_taken)
{
    unsigned code = 0;
    if (left >= 2 && ptr[0] == 0xc2 && ptr[1] < 0xa0) code = ptr[1];
    if (left >= 3 && ptr[0] == 0xe2 && ptr[1] == 0x80 && (ptr[2] == 0xa8 || ptr[2] == 0xa9))
        code = 0x2000 + ptr[2] - 0x80;
    if (left >= 3 && ptr[0] == 0xef && ptr[1] == 0xbb && ptr[2] == 0xbf) code = 0xfeff;
    if (code == 0) return in_json(ptr, left, to, ret_taken);
    *ret_taken = code < 0xa0 ? 2 : 3;
    snprintf(to, REPLACEMENT_BYTES, "\\u%04x", code);
    return to;
}

/* '...' where that says the value as it is; what would end it too early, or be lost in it, wants "...". */
static kms_err write_dotenv(const struct kms_env_pair *pair, struct kms_dotenv_sink sink)
{
    const struct kms_bytes value = pair->value;
    const bool doubled = has(value, "'\r") || (value.len > 0 && value.ptr[value.len - 1] == '\\');
    KMS_TRY(put_text(sink, doubled ? "=\"" : "='"));
    KMS_TRY(doubled ? put_replaced(sink, value, in_double_quotes) : put(sink, value));
    return put_text(sink, doubled ? "\"\n" : "'\n");
}

static kms_err write_quoted(const struct kms_env_pair *pair, const char *before, replace *of,
                            const char *behind, struct kms_dotenv_sink sink)
{
    KMS_TRY(put_text(sink, before));
    KMS_TRY(put_replaced(sink, pair->value, of));
    return put_text(sink, behind);
}

static kms_err write_pair(enum kms_env_format format, const struct kms_env_pair *pair, bool last,
                          struct kms_dotenv_sink sink)
{
    const bool quoted_name = format == KMS_ENV_FORMAT_JSON || format == KMS_ENV_FORMAT_YAML;
    if (format == KMS_ENV_FORMAT_SHELL) KMS_TRY(put_text(sink, "export "));
    if (quoted_name) KMS_TRY(put_text(sink, format == KMS_ENV_FORMAT_JSON ? "  \"" : "\""));
    KMS_TRY(put(sink, pair->name));
    switch (format) {
    case KMS_ENV_FORMAT_ENV:
        KMS_TRY(put_text(sink, "="));
        KMS_TRY(put(sink, pair->value));
        return put_text(sink, "\n");
    case KMS_ENV_FORMAT_DOTENV:
        return write_dotenv(pair, sink);
    case KMS_ENV_FORMAT_SHELL:
        return write_quoted(pair, "='", in_sh, "'\n", sink);
    case KMS_ENV_FORMAT_JSON:
        return write_quoted(pair, "\": \"", in_json, last ? "\"\n" : "\",\n", sink);
    case KMS_ENV_FORMAT_YAML:
        return write_quoted(pair, "\": \"", in_yaml, "\"\n", sink);
    case KMS_ENV_FORMAT_SYSTEMD:
        return write_quoted(pair, "=\"", in_systemd, "\"\n", sink);
    }
    return KMS_FAIL(INTERNAL);
}

kms_err kms_env_format_write(enum kms_env_format format, const struct kms_env_pair *pairs, size_t count,
                             struct kms_dotenv_sink sink)
{
    if (format == KMS_ENV_FORMAT_JSON) KMS_TRY(put_text(sink, "{\n"));
    if (format == KMS_ENV_FORMAT_YAML && count == 0) return put_text(sink, "{}\n");
    for (size_t i = 0; i < count; i++) KMS_TRY(write_pair(format, &pairs[i], i + 1 == count, sink));
    return format == KMS_ENV_FORMAT_JSON ? put_text(sink, "}\n") : KMS_OK;
}
