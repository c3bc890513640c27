/* Reads policy variables, carries them through compiled text, resolves them. */
#include "kmsd/policy/variable.h"

#include <string.h>

#include "kmsd/policy/actual.h"

/* Compiled: the byte, the key, two lengths of two bytes, the name, the default. */
enum { HEAD_BYTES = 6, NO_DEFAULT = 0xffff };

static size_t spaces_ahead(struct kms_bytes text, size_t at)
{
    size_t from = at;
    while (at < text.len && text.ptr[at] == ' ') at++;
    return at - from;
}

static struct kms_shown show_front(struct kms_bytes text)
{
    const uint8_t *end = memchr(text.ptr, '}', text.len);
    return kms_show_short(kms_bytes_of(text.ptr, end == NULL ? text.len : (size_t)(end + 1 - text.ptr)));
}

static kms_err bad_form(const struct kms_compile *compile, struct kms_bytes text)
{
    return kms_complain(compile,
                        "policy variable '%s' must be ${KEY} or ${KEY, 'DEFAULT'}; write ${$} for a '$'",
                        show_front(text).text);
}

/* ", 'DEFAULT'" from the comma on; *at goes behind it. */
static kms_err read_default(const struct kms_compile *compile, struct kms_bytes text, size_t *at,
                            struct kms_bytes *ret_default)
{
    *at += 1 + spaces_ahead(text, *at + 1);
    if (*at >= text.len || text.ptr[*at] != '\'') return bad_form(compile, text);
    const uint8_t *from = text.ptr + *at + 1, *end = memchr(from, '\'', text.len - *at - 1);
    if (end == NULL) return bad_form(compile, text);
    struct kms_bytes words = kms_bytes_of(from, (size_t)(end - from));
    for (size_t i = 0; i < words.len; i++)
        if (memchr("*?$", words.ptr[i], 3) != NULL)
            return kms_complain(compile,
                                "the default of policy variable '%s' must be plain text, without * ? $",
                                show_front(text).text);
    *at = (size_t)(end + 1 - text.ptr);
    *at += spaces_ahead(text, *at);
    *ret_default = words;
    return KMS_OK;
}

static kms_err find_key(const struct kms_compile *compile, struct kms_bytes text, struct kms_bytes name,
                        struct kms_variable *variable)
{
    const char *names[KMS_CONDITION_KEY_COUNT];
    variable->key = kms_condition_key_called(name, &variable->name);
    if (variable->key == KMS_CONDITION_KEY_COUNT) {
        for (size_t i = 0; i < KMS_CONDITION_KEY_COUNT; i++) names[i] = kms_condition_key_rows[i].name;
        return kms_complain(compile, "policy variable '%s' names no condition key%s; write ${$} for a '$'",
                            show_front(text).text, kms_similar(name, names, KMS_CONDITION_KEY_COUNT).text);
    }
    if (kms_condition_key_rows[variable->key].holds == KMS_HOLDS_LIST)
        return kms_complain(compile, "policy variable '%s' has many values; name a key that has one",
                            show_front(text).text);
    return KMS_OK;
}

kms_err kms_variable_read(const struct kms_compile *compile, struct kms_bytes text,
                          struct kms_variable *ret_variable, size_t *ret_len)
{
    struct kms_variable variable = {.default_text = {NULL, 0}};
    size_t at = 2;
    while (at < text.len && text.ptr[at] != '}' && text.ptr[at] != ',') at++;
    if (at == text.len) return bad_form(compile, text);
    struct kms_bytes name = kms_bytes_of(text.ptr + 2, at - 2);
    if (text.ptr[at] == ',') KMS_TRY(read_default(compile, text, &at, &variable.default_text));
    if (at >= text.len || text.ptr[at] != '}') return bad_form(compile, text);
    KMS_TRY(find_key(compile, text, name, &variable));
    *ret_variable = variable;
    *ret_len = at + 1;
    return KMS_OK;
}

size_t kms_variable_write(const struct kms_variable *variable, uint8_t *to)
{
    bool with_default = variable->default_text.ptr != NULL;
    size_t name_len = variable->name.len,
           default_len = with_default ? variable->default_text.len : NO_DEFAULT;
    const uint8_t head[HEAD_BYTES] = {
        KMS_VARIABLE,      (uint8_t)variable->key,      (uint8_t)(name_len >> 8),
        (uint8_t)name_len, (uint8_t)(default_len >> 8), (uint8_t)default_len};
    kms_copy(to, head, HEAD_BYTES);
    kms_copy(to + HEAD_BYTES, variable->name.ptr, name_len);
    kms_copy(to + HEAD_BYTES + name_len, variable->default_text.ptr, variable->default_text.len);
    return HEAD_BYTES + name_len + variable->default_text.len;
}

static size_t read_written(const uint8_t *from, struct kms_variable *ret_variable)
{
    size_t name_len = (size_t)from[2] << 8 | from[3], default_len = (size_t)from[4] << 8 | from[5];
    struct kms_variable variable = {.key = from[1], .name = kms_bytes_of(from + HEAD_BYTES, name_len)};
    size_t len = HEAD_BYTES + name_len;
    if (default_len != NO_DEFAULT) {
        variable.default_text = kms_bytes_of(from + len, default_len);
        len += default_len;
    }
    *ret_variable = variable;
    return len;
}

size_t kms_variable_longest(const struct kms_variable *variable)
{
    size_t longest = kms_condition_key_rows[variable->key].longest;
    return longest > variable->default_text.len ? longest : variable->default_text.len;
}

bool kms_has_variable(struct kms_bytes compiled)
{
    return compiled.len > 0 && memchr(compiled.ptr, KMS_VARIABLE, compiled.len) != NULL;
}

/* A byte that could pass for a wildcard would come from somebody who does not send UTF-8. */
static bool usable(struct kms_bytes value, size_t longest)
{
    if (value.len > longest) return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] >= KMS_VARIABLE) return false;
    return true;
}

bool kms_resolve(struct kms_bytes compiled, const struct kms_access_request *request,
                 uint8_t room[KMS_RESOLVED_BYTES], struct kms_bytes *ret_text)
{
    size_t len = 0;
    for (size_t at = 0; at < compiled.len;) {
        struct kms_bytes piece = kms_bytes_of(compiled.ptr + at, 1);
        char written[KMS_ACTUAL_ROOM_BYTES];
        if (*piece.ptr != KMS_VARIABLE) {
            at++;
        } else {
            struct kms_variable variable;
            at += read_written(compiled.ptr + at, &variable);
            bool known = kms_actual_text(variable.key, variable.name, request, written, &piece) &&
                         usable(piece, kms_condition_key_rows[variable.key].longest);
            if (!known) piece = variable.default_text;
            if (piece.ptr == NULL) return false;
        }
        if (piece.len > KMS_RESOLVED_BYTES - len) return false;
        kms_copy(room + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *ret_text = kms_bytes_of(room, len);
    return true;
}
