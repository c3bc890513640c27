/*
 * Two of the three memory types: kms_bytes is a view that owns nothing, kms_buf owns and grows.
 * The third, kms_secret, holds what must never leak (secret.h): never copy from it into a kms_buf.
 * Not thread-safe: one owner at a time.
 */
#ifndef KMS_BASE_BYTES_H
#define KMS_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/own.h"

struct kms_bytes {
    const uint8_t *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;         /* bytes */
};

static inline struct kms_bytes kms_bytes_of(const void *ptr, size_t len)
{
    return (struct kms_bytes){.ptr = ptr, .len = len};
}
/* For what is not const though it is only read: members of protobuf-c and gRPC, the key of a search. */
static inline char *kms_lend(const char *text)
{
    return (char *)(uintptr_t)text;
}
struct kms_bytes kms_bytes_text(const char *text);             /* without the NUL */
bool kms_bytes_equal(struct kms_bytes a, struct kms_bytes b);  /* for public data only */
bool kms_bytes_same(const void *a, const void *b, size_t len); /* constant time: tags, seals, digests */
void kms_copy(void *to, const void *from, size_t len);         /* len 0 with NULL is fine */
char *kms_bytes_dup_text(struct kms_bytes b); /* with a NUL behind; the caller frees it; NULL: no memory */

/* Growable bytes that hold no secret. Zero-initialised is empty; data is NUL-terminated beyond len. */
typedef struct kms_buf {
    uint8_t *data;
    size_t len, cap; /* bytes */
} kms_buf;

KMS_MUST_USE kms_err kms_buf_append(kms_buf *buf, const void *data,
                                    size_t len); /* NO_MEMORY; unchanged then */
KMS_MUST_USE kms_err kms_buf_print(kms_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct kms_bytes kms_buf_view(const kms_buf *buf);
void kms_buf_free(kms_buf *buf); /* empties it; the struct itself is the caller's */
#define KMS_OWN_BUF __attribute__((cleanup(kms_buf_free))) kms_buf

/* A whole file of at most max_len bytes into buf (must be empty). Errors: IO, LIMIT_EXCEEDED, NO_MEMORY; why
 * names the file. */
KMS_MUST_USE kms_err kms_read_file(const char *path, size_t max_len, kms_buf *buf, struct kms_why *why);

/* Lower-case hex of data into text, which has room for 2 * len + 1 bytes. */
void kms_hex(const void *data, size_t len, char *text);
/* The reverse: exactly len bytes from exactly 2 * len hex digits. False when text is anything else. */
bool kms_unhex(const char *text, size_t text_len, void *data, size_t len);

#endif
