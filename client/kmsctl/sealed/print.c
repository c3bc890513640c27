/* Writes manifests: JSON as jansson does, YAML in block style with every text in quotes that could be
 * anything else. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "client/kmsctl/output.h"
#include "client/kmsctl/sealed/manifest.h"
#include "client/kmsctl/sealed/text.h"

/* No reader takes it for a number, a date, true, null or a comment. */
static bool plain(const char *text, size_t len)
{
    static const char *const taken[] = {"y",    "yes",  "n",  "no",  "true", "false",
                                        "null", "none", "on", "off", NULL};
    if (len == 0 || !isalpha((unsigned char)text[0])) return false;
    for (const char *const *word = taken; *word != NULL; word++)
        if (strcasecmp(text, *word) == 0) return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("-_./", text[i]) == NULL) return false;
    return true;
}

/* The code point at text, which is UTF-8; its bytes are counted in *ret_len. */
static uint32_t code_point(const uint8_t *text, size_t *ret_len)
{
    *ret_len = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    uint32_t code = *ret_len == 1 ? text[0] : text[0] & (0x7fu >> *ret_len);
    for (size_t i = 1; i < *ret_len; i++) code = code << 6 | (text[i] & 0x3f);
    return code;
}

/* Printable in YAML, and on one line. */
static bool as_it_is(uint32_t code)
{
    return (code >= 0x20 && code < 0x7f && code != '"' && code != '\\') ||
           (code >= 0xa0 && code != 0x2028 && code != 0x2029 && code != 0xfeff && code != 0xfffe &&
            code != 0xffff);
}

static void put_quoted(struct ctl_text *out, const char *text, size_t len)
{
    ctl_text_put(out, "\"", 1);
    for (size_t at = 0, step; at < len; at += step) {
        const uint32_t code = code_point((const uint8_t *)text + at, &step);
        if (as_it_is(code))
            ctl_text_put(out, text + at, step);
        else if (code == '"' || code == '\\')
            ctl_text_print(out, "\\%c", (int)code);
        else if (code == '\n')
            ctl_text_put(out, "\\n", 2);
        else
            ctl_text_print(out, "\\u%04x", code);
    }
    ctl_text_put(out, "\"", 1);
}

static void put_text(struct ctl_text *out, const char *text, size_t len)
{
    if (plain(text, len))
        ctl_text_put(out, text, len);
    else
        put_quoted(out, text, len);
}

static bool is_block(const json_t *value)
{
    return json_object_size(value) > 0 || json_array_size(value) > 0;
}

static void put_scalar(struct ctl_text *out, const json_t *value)
{
    if (json_is_string(value))
        put_text(out, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        ctl_text_print(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        ctl_text_print(out, "%.17g", json_real_value(value));
    else if (json_is_object(value))
        ctl_text_put(out, "{}", 2);
    else if (json_is_array(value))
        ctl_text_put(out, "[]", 2);
    else
        ctl_text_print(out, "%s", json_is_null(value) ? "null" : json_is_true(value) ? "true" : "false");
    ctl_text_put(out, "\n", 1);
}

static void put_block(struct ctl_text *out, const json_t *value, int indent);

/* Behind "name:" or "-". */
static void put_value(struct ctl_text *out, const json_t *value, int indent)
{
    ctl_text_put(out, is_block(value) ? "\n" : " ", 1);
    if (is_block(value))
        put_block(out, value, indent);
    else
        put_scalar(out, value);
}

static void put_block(struct ctl_text *out, const json_t *value, int indent)
{
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        ctl_text_print(out, "%*s", indent, "");
        put_text(out, name, strlen(name));
        ctl_text_put(out, ":", 1);
        put_value(out, member, indent + 2);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        ctl_text_print(out, "%*s-", indent, "");
        put_value(out, json_array_get(value, i), indent + 2);
    }
}

static void put_yaml(struct ctl_text *out, const json_t *documents)
{
    for (size_t i = 0; i < json_array_size(documents); i++) {
        ctl_text_put(out, "---\n", i == 0 ? 0 : 4);
        put_block(out, json_array_get(documents, i), 0);
    }
}

static void put_json(struct ctl_text *out, const json_t *documents)
{
    for (size_t i = 0; i < json_array_size(documents); i++) {
        char *text = json_dumps(json_array_get(documents, i), JSON_INDENT(2)); /* of jansson's own memory */
        out->failed |= text == NULL;
        if (text == NULL) return;
        ctl_text_print(out, "%s\n", text);
        json_free_t free_text;
        json_get_alloc_funcs(NULL, &free_text);
        free_text(text);
    }
}

bool ctl_manifest_write(struct ctl *ctl, json_t *documents)
{
    CTL_OWN_TEXT out = {0};
    if (ctl_wants_json(ctl))
        put_json(&out, documents);
    else
        put_yaml(&out, documents);
    json_decref(documents);
    if (out.failed) return ctl_fail(ctl, KMS_FAIL(NO_MEMORY), NULL);
    return ctl_write(ctl, kms_bytes_of(out.data, out.len));
}
