/* The error table. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    int grpc;
    const char *reason, *text;
} table[KMS_E_COUNT] = {
#define KMS_ERR(name, g, t) [KMS_E_##name] = {.grpc = (g), .reason = #name, .text = (t)},
#include "base/err.def"
#undef KMS_ERR
};

const char *kms_err_reason(kms_err e)
{
    return table[e.code].reason;
}
const char *kms_err_text(kms_err e)
{
    return table[e.code].text;
}
int kms_err_grpc_status(kms_err e)
{
    return table[e.code].grpc;
}

void kms_why_set(struct kms_why *why, const char *format, ...)
{
    if (why == NULL) return;
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
}
