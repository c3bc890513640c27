/* Views, buffers and the few byte helpers that everything above needs. */
#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kms_bytes kms_bytes_text(const char *text)
{
    return kms_bytes_of(text, strlen(text));
}

bool kms_bytes_equal(struct kms_bytes a, struct kms_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool kms_bytes_same(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void kms_copy(void *to, const void *from, size_t len)
{
    if (len > 0) memcpy(to, from, len);
}

void kms_fd_drop(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static kms_err reserve(kms_buf *buf, size_t more)
{
    if (more > SIZE_MAX / 2 - buf->len - 1) return KMS_FAIL(NO_MEMORY);
    size_t need = buf->len + more + 1; /* + NUL */
    if (need <= buf->cap) return KMS_OK;
    size_t cap = buf->cap == 0 ? 64 : buf->cap;
    while (cap < need) cap *= 2;
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) return KMS_FAIL(NO_MEMORY);
    buf->data = data;
    buf->cap = cap;
    return KMS_OK;
}

kms_err kms_buf_append(kms_buf *buf, const void *data, size_t len)
{
    KMS_TRY(reserve(buf, len));
    kms_copy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = 0;
    return KMS_OK;
}

kms_err kms_buf_print(kms_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    kms_err err = len < 0 ? KMS_FAIL(INTERNAL) : reserve(buf, (size_t)len);
    if (!kms_failed(err)) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return err;
}

struct kms_bytes kms_buf_view(const kms_buf *buf)
{
    return kms_bytes_of(buf->data, buf->len);
}

void kms_buf_free(kms_buf *buf)
{
    free(buf->data);
    *buf = (kms_buf){0};
}

kms_err kms_read_file(const char *path, size_t max_len, kms_buf *buf, struct kms_why *why)
{
    KMS_OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        kms_why_set(why, "%s: %s", path, strerror(errno));
        return KMS_FAIL(IO);
    }
    for (;;) {
        KMS_TRY(reserve(buf, 4096));
        ssize_t got = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            kms_why_set(why, "%s: %s", path, strerror(errno));
            return KMS_FAIL(IO);
        }
        buf->len += (size_t)got;
        buf->data[buf->len] = 0;
        if (buf->len > max_len) {
            kms_why_set(why, "%s: longer than %zu bytes", path, max_len);
            return KMS_FAIL(LIMIT_EXCEEDED);
        }
        if (got == 0) return KMS_OK;
    }
}

void kms_hex(const void *data, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;
    for (size_t i = 0; i < len; i++) {
        *text++ = digits[from[i] >> 4];
        *text++ = digits[from[i] & 15];
    }
    *text = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool kms_unhex(const char *text, size_t text_len, void *data, size_t len)
{
    uint8_t *to = data;
    if (text_len != 2 * len) return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* strndup may read on to a NUL under the sanitizers' strict checks. */
char *kms_bytes_dup_text(struct kms_bytes b)
{
    char *text = malloc(b.len + 1);
    if (text == NULL) return NULL;
    kms_copy(text, b.ptr, b.len);
    text[b.len] = '\0';
    return text;
}
