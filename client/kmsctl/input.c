/* Reads files, standard input and arguments, all bounded. */
#include "client/kmsctl/input.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "kmsd/policy/input.h"

enum { LONGEST_MS = 24 * 60 * 60 * 1000 };

static const char *name_of(const char *path)
{
    return path != NULL && strcmp(path, "-") != 0 ? path : NULL;
}

/* Reads until the end of input or until memory is full. */
static kms_err read_all(const char *path, uint8_t *memory, size_t size, size_t *ret_len, struct kms_why *why)
{
    const char *name = name_of(path);
    KMS_OWN_FD opened = name != NULL ? open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    int fd = name != NULL ? opened : STDIN_FILENO;
    size_t len = 0;
    for (ssize_t got = fd >= 0 ? 1 : -1; got != 0 && len < size; len += (size_t)got) {
        if (got > 0) got = read(fd, memory + len, size - len);
        if (got < 0 && errno == EINTR) got = read(fd, memory + len, size - len);
        if (got >= 0) continue;
        kms_why_set(why, "%s: %s", name != NULL ? name : "standard input", strerror(errno));
        return KMS_FAIL(IO);
    }
    *ret_len = len;
    return KMS_OK;
}

static kms_err check_len(const char *path, size_t len, size_t max_len, struct kms_why *why)
{
    if (len > 0 && len <= max_len) return KMS_OK;
    const char *name = name_of(path) != NULL ? path : "standard input";
    if (len == 0)
        kms_why_set(why, "%s is empty", name);
    else
        kms_why_set(why, "%s is longer than %zu bytes", name, max_len);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err ctl_read_secret(const char *path, size_t max_len, kms_secret **ret_secret, struct kms_why *why)
{
    KMS_OWN(kms_secret) room = NULL;
    KMS_OWN(kms_secret) secret = NULL;
    size_t len = 0;
    KMS_TRY(kms_secret_new(max_len + 1, &room));
    KMS_TRY(read_all(path, kms_secret_data(room), max_len + 1, &len, why));
    KMS_TRY(check_len(path, len, max_len, why));
    KMS_TRY(kms_secret_new(len, &secret));
    kms_copy(kms_secret_data(secret), kms_secret_data(room), len);
    *ret_secret = KMS_GIVE(secret);
    return KMS_OK;
}

kms_err ctl_read_locked(const char *path, size_t max_len, void **ret_memory, size_t *ret_len,
                        struct kms_why *why)
{
    void *memory = kms_locked_alloc(max_len + 1);
    if (memory == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = read_all(path, memory, max_len + 1, ret_len, why);
    if (!kms_failed(err)) err = check_len(path, *ret_len, max_len, why);
    if (kms_failed(err))
        kms_locked_free(memory, max_len + 1);
    else
        *ret_memory = memory;
    return err;
}

kms_err ctl_read_text(const char *path, size_t max_len, kms_buf *out, struct kms_why *why)
{
    uint8_t *room = malloc(max_len + 1);
    if (room == NULL) return KMS_FAIL(NO_MEMORY);
    size_t len = 0;
    kms_err err = read_all(path, room, max_len + 1, &len, why);
    if (!kms_failed(err)) err = check_len(path, len, max_len, why);
    if (!kms_failed(err)) err = kms_buf_append(out, room, len);
    free(room);
    return err;
}

static bool has_name(const struct ctl_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->entries[i].name, name) == 0) return true;
    return false;
}

kms_err ctl_parse_pairs(const struct ctl_texts *texts, struct ctl_pairs *ret_pairs, struct kms_why *why)
{
    struct ctl_pairs pairs = {0};
    for (size_t i = 0; i < texts->count; i++) {
        char *text = (char *)(uintptr_t)texts->items[i], *equals = strchr(text, '=');
        if (equals == NULL || equals == text) {
            kms_why_set(why,
                        "\"%.100s\" is not NAME=VALUE, a pair of the encryption context; the context of the "
                        "connection "
                        "stands before the command: kmsctl --context NAME ...",
                        text);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        *equals = '\0';
        if (has_name(&pairs, text)) {
            kms_why_set(why, "the encryption context has \"%.100s\" twice", text);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        pairs.entries[pairs.count++] = (struct kms_context_entry){.name = text, .value = equals + 1};
    }
    *ret_pairs = pairs;
    return KMS_OK;
}

struct kms_context ctl_context_of(const struct ctl_pairs *pairs)
{
    return (struct kms_context){.entries = pairs->entries, .count = pairs->count};
}

bool ctl_byte_count(const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;
    if (text[0] == '\0') return false;
    for (const char *at = text; *at != '\0'; at++)
        if (!isdigit((unsigned char)*at) || __builtin_mul_overflow(bytes, 10, &bytes) ||
            __builtin_add_overflow(bytes, (uint64_t)(*at - '0'), &bytes))
            return false;
    *ret_bytes = bytes;
    return true;
}

bool ctl_duration(const char *text, uint32_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 8) return false;
    uint64_t number = strtoull(text, NULL, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].unit) != 0) continue;
        uint64_t ms = number * units[i].ms;
        if (ms == 0 || ms > LONGEST_MS) return false;
        *ret_ms = (uint32_t)ms;
        return true;
    }
    return false;
}

const char *ctl_alias_name(const char *given, char name[CTL_ALIAS_BYTES])
{
    if (given == NULL || strncmp(given, "alias/", 6) == 0) return given;
    snprintf(name, CTL_ALIAS_BYTES, "alias/%s", given);
    return name;
}

bool ctl_time(const char *text, uint64_t *ret_us)
{
    struct kms_access_request request = {.now_us = 0};
    struct kms_pool pool = {NULL};
    struct kms_why why;
    const struct kms_pair time = {kms_bytes_text("aws:CurrentTime"), kms_bytes_text(text)};
    if (kms_failed(kms_input_set(&request, time, &pool, &why))) return false;
    *ret_us = request.now_us;
    return true;
}

enum { SECOND_US = 1000000 };

/* "90s", "30m", "12h", "7d" in seconds; 0: not like that. */
static uint64_t span_s(const char *text)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    unsigned long long count = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    for (size_t i = 0; count > 0 && count < UINT32_MAX && i < sizeof units / sizeof units[0]; i++)
        if (end[0] == units[i].unit && end[1] == '\0') return count * units[i].seconds;
    return 0;
}

/* The same in microseconds; 0: also what is longer than anything counted so. */
static uint64_t span_us(const char *text)
{
    uint64_t seconds = span_s(text);
    return seconds < INT64_MAX / SECOND_US ? seconds * SECOND_US : 0;
}

bool ctl_seconds(const char *text, uint64_t *ret_seconds)
{
    *ret_seconds = span_s(text);
    return *ret_seconds > 0;
}

bool ctl_past(const char *text, uint64_t *ret_us)
{
    uint64_t ago_us = span_us(text), now_us = kms_now_us();
    if (ago_us == 0) return ctl_time(text, ret_us);
    *ret_us = ago_us < now_us ? now_us - ago_us : 1;
    return true;
}

uint64_t ctl_moment_us(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (rest != NULL && *rest == '\0') {
        time_t seconds = timegm(&tm);
        return seconds > 0 ? (uint64_t)seconds * SECOND_US : 0;
    }
    uint64_t ahead_us = span_us(text);
    return ahead_us != 0 ? kms_now_us() + ahead_us : 0;
}
