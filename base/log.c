/* One write per line, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static enum kms_log_level limit = KMS_LOG_INFO;

void kms_log_level_set(enum kms_log_level most)
{
    __atomic_store_n(&limit, most, __ATOMIC_RELAXED);
}

/* A value from outside must not start a line of its own. */
static void flatten(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = ' ';
}

void kms_log(enum kms_log_level level, const char *event, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (level > __atomic_load_n(&limit, __ATOMIC_RELAXED)) return;
    char line[1024], now[KMS_TIME_TEXT];
    kms_time_text(kms_now_us(), now);
    int head = snprintf(line, sizeof line - 1, "time=%s level=%s event=%s ", now, names[level], event);
    va_list args;
    va_start(args, format);
    int body = vsnprintf(line + head, sizeof line - 1 - (size_t)head, format, args);
    va_end(args);
    flatten(line);
    size_t len = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) return; /* nowhere left to say so */
}
