/* Grows by doubling, in locked memory. */
#include "client/kmsctl/sealed/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/secret.h"

enum { FIRST_BYTES = 4096 };

static bool grow(struct ctl_text *text, size_t more)
{
    size_t cap = text->cap > 0 ? text->cap : FIRST_BYTES;
    while (cap - text->len < more) cap *= 2;
    if (cap == text->cap) return true;
    char *data = kms_locked_alloc(cap);
    text->failed |= data == NULL;
    if (data == NULL) return false;
    kms_copy(data, text->data, text->len);
    kms_locked_free(text->data, text->cap);
    text->data = data;
    text->cap = cap;
    return true;
}

void ctl_text_put(struct ctl_text *text, const void *data, size_t len)
{
    if (text->failed || !grow(text, len)) return;
    kms_copy(text->data + text->len, data, len);
    text->len += len;
}

void ctl_text_print(struct ctl_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len < 0) text->failed = true;
    if (text->failed || !grow(text, (size_t)len + 1)) return;
    va_start(arguments, format);
    vsnprintf(text->data + text->len, (size_t)len + 1, format, arguments);
    va_end(arguments);
    text->len += (size_t)len;
}

kms_err ctl_data_new(size_t size, struct ctl_data *ret_data)
{
    void *memory = kms_locked_alloc(size);
    if (memory == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_data = (struct ctl_data){.memory = memory, .size = size, .bytes = {memory, 0}};
    return KMS_OK;
}

void ctl_data_free(struct ctl_data *data)
{
    kms_locked_free(data->memory, data->size);
    *data = (struct ctl_data){0};
}

void ctl_text_free(struct ctl_text *text)
{
    kms_locked_free(text->data, text->cap);
    *text = (struct ctl_text){0};
}
