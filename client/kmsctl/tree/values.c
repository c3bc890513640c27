/* Where values stand, and what they are by their headers. */
#include "client/kmsctl/tree/values.h"

#include <stdlib.h>
#include <string.h>

ctl_values ctl_values_of(struct kms_bytes text)
{
    return (ctl_values){.text = text, .line = 1};
}

void ctl_value_free(struct ctl_value *value)
{
    free(value->name);
    free(value->wrong);
    kms_buf_free(&value->blob);
}

void ctl_values_free(ctl_values *values)
{
    for (size_t i = 0; i < values->count; i++) ctl_value_free(&values->items[i]);
    free(values->items);
    *values = (ctl_values){0};
}

/* Places are asked for in rising order, but for those of ctl_values_next_other, which begin again. */
static unsigned line_at(ctl_values *values, size_t at)
{
    if (at < values->counted) {
        values->counted = 0;
        values->line = 1;
    }
    for (; values->counted < at; values->counted++)
        if (values->text.ptr[values->counted] == '\n') values->line++;
    return values->line;
}

/*
 * The quotes stay as they are where the value stands between them letter by letter. Where it is written with
 * escapes ("\/" for a slash, a line continued), all of it up to the closing quote is replaced: the new text
 * needs no escapes.
 */
static bool find_place(const struct kms_bytes text, const struct ctl_found *found, struct ctl_value *value)
{
    const struct kms_bytes source = found->source;
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    if (source.len == 0) return false;
    const uint8_t *end = source.ptr + source.len - 1, quote = *end;
    const uint8_t *from = memmem(source.ptr, source.len, found->value.ptr, found->value.len);
    value->len = found->value.len;
    if (from == NULL) {
        const uint8_t *open = memchr(source.ptr, quote, source.len - 1);
        if (open == NULL || (quote != '"' && quote != '\'')) return false;
        from = memmem(open, (size_t)(end - open), KMS_CIPHERTEXT_TEXT_PREFIX, prefix);
        if (from == NULL) return false;
        value->len = (size_t)(end - from);
    }
    value->at = (size_t)(from - text.ptr);
    return true;
}

static kms_err decode(struct kms_bytes text, struct ctl_value *value, struct kms_why *why)
{
    struct kms_bytes sealed;
    KMS_TRY(kms_ciphertext_from_text(text, &value->blob, why));
    return kms_ciphertext_parse(kms_buf_view(&value->blob), &value->header, &sealed, why);
}

static kms_err fill(ctl_values *values, const struct ctl_found *found, struct ctl_value *value)
{
    struct kms_why why = {0};
    value->at = found->source.len > 0 ? (size_t)(found->source.ptr - values->text.ptr) : 0;
    if (!find_place(values->text, found, value))
        kms_why_set(&why, "written in a way that cannot be replaced: put it on one line, or in quotes");
    kms_err err = why.text[0] == '\0' ? decode(found->value, value, &why) : KMS_OK;
    if (kms_is(err, KMS_E_NO_MEMORY)) return err;
    value->line = line_at(values, value->at);
    value->name = kms_bytes_dup_text(found->name);
    value->wrong = why.text[0] != '\0' ? strdup(why.text) : NULL;
    bool filled = value->name != NULL && (value->wrong != NULL || why.text[0] == '\0');
    return filled ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err ctl_values_add(ctl_values *values, const struct ctl_found *found)
{
    if (values->count == values->cap) {
        size_t cap = values->cap == 0 ? 8 : 2 * values->cap;
        struct ctl_value *items = reallocarray(values->items, cap, sizeof *items);
        if (items == NULL) return KMS_FAIL(NO_MEMORY);
        values->items = items;
        values->cap = cap;
    }
    struct ctl_value value = {0};
    kms_err err = fill(values, found, &value);
    if (kms_failed(err))
        ctl_value_free(&value);
    else
        values->items[values->count++] = value;
    return err;
}

static bool of_base64(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
}

static bool is_value(const ctl_values *values, size_t at)
{
    for (size_t i = 0; i < values->count; i++)
        if (at >= values->items[i].at && at < values->items[i].at + values->items[i].len) return true;
    return false;
}

bool ctl_values_next_other(ctl_values *values, size_t *at, struct ctl_value *ret_value)
{
    const struct kms_bytes text = values->text;
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    while (*at < text.len) {
        const uint8_t *from = memmem(text.ptr + *at, text.len - *at, KMS_CIPHERTEXT_TEXT_PREFIX, prefix);
        if (from == NULL) return false;
        size_t start = (size_t)(from - text.ptr), end = start + prefix;
        while (end < text.len && of_base64(text.ptr[end])) end++;
        *at = end;
        struct ctl_value value = {.at = start, .len = end - start};
        if (!is_value(values, start) && !kms_failed(decode(kms_bytes_of(from, end - start), &value, NULL))) {
            value.line = line_at(values, start);
            *ret_value = value;
            return true;
        }
        ctl_value_free(&value);
    }
    return false;
}
