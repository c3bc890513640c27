/* The kinds of values an option can have. */
#include "base/conf_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *suffix;
    uint64_t factor;
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {NULL, 0}};
static const struct unit durations[] = {{"ms", 1},          {"s", 1000}, {"m", 60 * 1000},
                                        {"h", 3600 * 1000}, {"", 1},     {NULL, 0}};

static const struct unit *units_of(enum kms_conf_kind kind)
{
    return kind == KMS_CONF_SIZE ? sizes : kind == KMS_CONF_DURATION ? durations : plain;
}

void *kms_conf_pointer(const void *values, size_t offset)
{
    void *pointer;
    memcpy(&pointer, (const char *)values + offset, sizeof pointer);
    return pointer;
}

void kms_conf_pointer_set(void *values, size_t offset, void *pointer)
{
    memcpy((char *)values + offset, &pointer, sizeof pointer);
}

size_t kms_conf_count(const struct kms_conf_row *row, const void *values)
{
    size_t count;
    memcpy(&count, (const char *)values + row->count_offset, sizeof count);
    return count;
}

static kms_err wrong(const char **ret_cause, const char *cause)
{
    *ret_cause = cause;
    return KMS_FAIL(CONFIG_INVALID);
}

/* Digits of a base and nothing else. */
static bool parse_digits(struct kms_bytes text, unsigned base, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *ret_number = number;
    return text.len > 0;
}

/* Digits, then a unit or nothing. */
static bool parse_scaled(struct kms_bytes text, const struct unit *units, uint64_t *ret_number)
{
    size_t digits = 0;
    uint64_t number;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') digits++;
    if (!parse_digits(kms_bytes_of(text.ptr, digits), 10, &number)) return false;
    for (const struct unit *u = units; u->suffix != NULL; u++)
        if (kms_bytes_equal(kms_bytes_text(u->suffix), kms_bytes_of(text.ptr + digits, text.len - digits)))
            return !__builtin_mul_overflow(number, u->factor, ret_number);
    return false;
}

static kms_err set_number(const struct kms_conf_row *row, struct kms_bytes text, void *at,
                          const char **ret_cause)
{
    uint64_t number;
    bool ok = row->kind == KMS_CONF_MODE ? parse_digits(text, 8, &number)
                                         : parse_scaled(text, units_of(row->kind), &number);
    if (!ok)
        return wrong(ret_cause, row->kind == KMS_CONF_MODE ? "not an octal number" : "not such a number");
    if (number < row->min || number > row->max) return wrong(ret_cause, "out of range");
    uint32_t narrow = (uint32_t)number; /* the range of every 32-bit row fits, or the number was refused */
    if (row->kind == KMS_CONF_SIZE)
        memcpy(at, &number, sizeof number);
    else if (number > UINT32_MAX)
        return wrong(ret_cause, "out of range");
    else
        memcpy(at, &narrow, sizeof narrow);
    return KMS_OK;
}

static kms_err set_bool(struct kms_bytes text, void *at, const char **ret_cause)
{
    bool yes = kms_bytes_equal(text, kms_bytes_text("true"));
    if (!yes && !kms_bytes_equal(text, kms_bytes_text("false")))
        return wrong(ret_cause, "neither true nor false");
    memcpy(at, &yes, sizeof yes);
    return KMS_OK;
}

/* One of "one|two", ended by NULL. */
static const char *next_choice(const char *choices, struct kms_bytes *ret_choice)
{
    size_t len = strcspn(choices, "|");
    *ret_choice = kms_bytes_of(choices, len);
    return choices[len] == '|' ? choices + len + 1 : NULL;
}

static kms_err set_choice(const struct kms_conf_row *row, struct kms_bytes text, void *at,
                          const char **ret_cause)
{
    unsigned position = 0;
    for (const char *rest = row->choices; rest != NULL; position++) {
        struct kms_bytes choice;
        rest = next_choice(rest, &choice);
        if (!kms_bytes_equal(choice, text)) continue;
        memcpy(at, &position, sizeof position);
        return KMS_OK;
    }
    return wrong(ret_cause, "not one of the choices");
}

kms_err kms_conf_string_new(struct kms_bytes text, uint64_t min, uint64_t max, char **ret_string,
                            const char **ret_cause)
{
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)
        return wrong(ret_cause, "holds a NUL character");
    if (text.len < min) return wrong(ret_cause, text.len == 0 ? "empty" : "too short");
    if (text.len > max) return wrong(ret_cause, "too long");
    char *string = malloc(text.len + 1);
    if (string == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(string, text.ptr, text.len);
    string[text.len] = '\0';
    *ret_string = string;
    return KMS_OK;
}

static kms_err set_path(const struct kms_conf_row *row, const struct kms_conf_input *input, void *values,
                        const char **ret_cause)
{
    char *path;
    KMS_OWN_BUF whole = {0};
    bool relative = input->text.len > 0 && input->text.ptr[0] != '/';
    if (relative) KMS_TRY(kms_buf_append(&whole, input->folder, strlen(input->folder)));
    KMS_TRY(kms_buf_append(&whole, input->text.ptr, input->text.len));
    if (input->text.len < row->min) return wrong(ret_cause, "empty");
    KMS_TRY(kms_conf_string_new(kms_buf_view(&whole), row->min, row->max, &path, ret_cause));
    kms_conf_pointer_set(values, row->offset, path);
    return KMS_OK;
}

kms_err kms_conf_value_set(const struct kms_conf_row *row, const struct kms_conf_input *input, void *values,
                           const char **ret_cause)
{
    char *string;
    void *at = (char *)values + row->offset;
    switch (row->kind) {
    case KMS_CONF_STRING:
        KMS_TRY(kms_conf_string_new(input->text, row->min, row->max, &string, ret_cause));
        kms_conf_pointer_set(values, row->offset, string);
        return KMS_OK;
    case KMS_CONF_PATH:
        return set_path(row, input, values, ret_cause);
    case KMS_CONF_BOOL:
        return set_bool(input->text, at, ret_cause);
    case KMS_CONF_CHOICE:
        return set_choice(row, input->text, at, ret_cause);
    case KMS_CONF_UNSIGNED:
    case KMS_CONF_MODE:
    case KMS_CONF_SIZE:
    case KMS_CONF_DURATION:
        return set_number(row, input->text, at, ret_cause);
    case KMS_CONF_STRINGS:
    case KMS_CONF_LIST:
        break;
    }
    return KMS_FAIL(INTERNAL);
}

/* Characters that a YAML 1.1 document may not hold, or takes for line breaks and marks, as their escape:
 * controls, U+2028, U+2029, U+FEFF. NULL: none of them begins here; else *ret_len bytes do. */
static const char *yaml_escape(const char *text, char escape[8], size_t *ret_len)
{
    const uint8_t *c = (const uint8_t *)text;
    *ret_len = 3;
    if (strncmp(text, "\xe2\x80\xa8", 3) == 0) return "\\u2028";
    if (strncmp(text, "\xe2\x80\xa9", 3) == 0) return "\\u2029";
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) return "\\ufeff";
    bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
    *ret_len = c1 ? 2 : 1;
    if (!c1 && c[0] >= ' ' && c[0] != 127) return NULL;
    snprintf(escape, 8, "\\x%02x", c1 ? c[1] : c[0]); /* U+0080 to U+009F end in the byte of their number */
    return escape;
}

kms_err kms_conf_string_print(const char *text, kms_buf *out)
{
    KMS_TRY(kms_buf_append(out, "\"", 1));
    for (size_t len; *text != '\0'; text += len) {
        char room[8];
        const char *escape = yaml_escape(text, room, &len);
        if (escape != NULL)
            KMS_TRY(kms_buf_print(out, "%s", escape));
        else if (*text == '"' || *text == '\\')
            KMS_TRY(kms_buf_print(out, "\\%c", *text));
        else
            KMS_TRY(kms_buf_append(out, text, 1));
    }
    return kms_buf_append(out, "\"", 1);
}

/* In the largest unit that leaves no remainder. */
static kms_err print_number(const struct kms_conf_row *row, uint64_t number, kms_buf *out)
{
    if (row->kind == KMS_CONF_MODE) return kms_buf_print(out, "0%03" PRIo64, number);
    const struct unit *units = units_of(row->kind), *best = &units[0];
    for (const struct unit *u = units; u->suffix != NULL; u++)
        if (number != 0 && number % u->factor == 0 && u->factor > best->factor) best = u;
    return kms_buf_print(out, "%" PRIu64 "%s", number / best->factor, best->suffix);
}

static uint64_t number_at(const struct kms_conf_row *row, const void *values)
{
    const void *at = (const char *)values + row->offset;
    uint64_t wide;
    uint32_t narrow;
    memcpy(&narrow, at, sizeof narrow);
    if (row->kind != KMS_CONF_SIZE) return narrow;
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static kms_err print_choice(const struct kms_conf_row *row, const void *values, kms_buf *out)
{
    uint64_t position = number_at(row, values);
    struct kms_bytes choice = {0};
    for (const char *rest = row->choices; rest != NULL; position--) {
        rest = next_choice(rest, &choice);
        if (position == 0) return kms_buf_append(out, choice.ptr, choice.len);
    }
    return KMS_FAIL(INTERNAL);
}

kms_err kms_conf_value_print(const struct kms_conf_row *row, const void *values, kms_buf *out)
{
    bool yes;
    switch (row->kind) {
    case KMS_CONF_STRING:
    case KMS_CONF_PATH:
        return kms_conf_string_print(kms_conf_pointer(values, row->offset), out);
    case KMS_CONF_BOOL:
        memcpy(&yes, (const char *)values + row->offset, sizeof yes);
        return kms_buf_print(out, yes ? "true" : "false");
    case KMS_CONF_CHOICE:
        return print_choice(row, values, out);
    case KMS_CONF_UNSIGNED:
    case KMS_CONF_MODE:
    case KMS_CONF_SIZE:
    case KMS_CONF_DURATION:
        return print_number(row, number_at(row, values), out);
    case KMS_CONF_STRINGS:
    case KMS_CONF_LIST:
        break;
    }
    return KMS_FAIL(INTERNAL);
}

static kms_err print_choices(const struct kms_conf_row *row, kms_buf *out)
{
    const char *between = "one of: ";
    for (const char *rest = row->choices; rest != NULL; between = ", ") {
        struct kms_bytes choice;
        rest = next_choice(rest, &choice);
        KMS_TRY(kms_buf_print(out, "%s%.*s", between, (int)choice.len, (const char *)choice.ptr));
    }
    return KMS_OK;
}

kms_err kms_conf_range_print(const struct kms_conf_row *row, kms_buf *out)
{
    switch (row->kind) {
    case KMS_CONF_STRING:
    case KMS_CONF_PATH:
        return kms_buf_print(out, "%s of %" PRIu64 " to %" PRIu64 " bytes",
                             row->kind == KMS_CONF_PATH ? "a path" : "text", row->min, row->max);
    case KMS_CONF_BOOL:
        return kms_buf_print(out, "true, false");
    case KMS_CONF_CHOICE:
        return print_choices(row, out);
    case KMS_CONF_STRINGS:
        return kms_buf_print(out, "a list of at most %" PRIu64 " texts", row->max);
    case KMS_CONF_LIST:
        return kms_buf_print(out, "a list of at most %" PRIu64 " sections", row->max);
    case KMS_CONF_UNSIGNED:
    case KMS_CONF_MODE:
    case KMS_CONF_SIZE:
    case KMS_CONF_DURATION:
        break;
    }
    KMS_TRY(print_number(row, row->min, out));
    KMS_TRY(kms_buf_print(out, " to "));
    KMS_TRY(print_number(row, row->max, out));
    return row->unit[0] != '\0' ? kms_buf_print(out, " %s", row->unit) : KMS_OK;
}
