/* Lines for people. */
#include "client/kms-env/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kms_env_say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "kms-env: %s\n", text);
}

void kms_env_say_lines(const kms_buf *lines)
{
    const char *at = (const char *)lines->data;
    for (const char *end; at != NULL && (end = strchr(at, '\n')) != NULL; at = end + 1)
        fprintf(stderr, "kms-env: %.*s\n", (int)(end - at), at);
}

void kms_env_say_error(kms_err err, const struct kms_why *why)
{
    kms_env_say("%s", why->text[0] != '\0' ? why->text : kms_err_text(err));
}

bool kms_env_output_done(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    kms_env_say("standard output: %s", strerror(errno));
    return false;
}
