/* A bump allocator over locked chunks. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/secret.h"

struct kms_arena_chunk {
    struct kms_arena_chunk *next;
    size_t size, used; /* bytes, this header included */
};

enum { ALIGN = 16 };

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

void kms_arena_init(kms_arena *arena, size_t limit_bytes)
{
    *arena = (kms_arena){.limit = limit_bytes};
}

static struct kms_arena_chunk *add_chunk(kms_arena *arena, size_t len)
{
    size_t size = KMS_ARENA_FIRST_BYTES;
    while (size < aligned(sizeof(struct kms_arena_chunk)) + len) size *= 2;
    if (size > arena->limit - arena->total) return NULL;
    struct kms_arena_chunk *chunk = kms_locked_alloc(size);
    if (chunk == NULL) return NULL;
    *chunk = (struct kms_arena_chunk){.next = arena->chunks, .size = size, .used = aligned(sizeof *chunk)};
    arena->chunks = chunk;
    arena->total += size;
    return chunk;
}

void *kms_arena_alloc(kms_arena *arena, size_t len)
{
    if (len > arena->limit) return NULL;
    size_t want = aligned(len > 0 ? len : 1);
    struct kms_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < want) chunk = add_chunk(arena, want);
    if (chunk == NULL) return NULL;
    uint8_t *p = (uint8_t *)chunk + chunk->used;
    chunk->used += want;
    return p;
}

struct kms_bytes kms_arena_copy(kms_arena *arena, struct kms_bytes b)
{
    uint8_t *p = kms_arena_alloc(arena, b.len);
    if (p == NULL) return (struct kms_bytes){0};
    kms_copy(p, b.ptr, b.len);
    return kms_bytes_of(p, b.len);
}

char *kms_arena_print(kms_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : kms_arena_alloc(arena, (size_t)len + 1);
    if (text != NULL) vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void kms_arena_wipe(kms_arena *arena)
{
    while (arena->chunks != NULL) {
        struct kms_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        kms_locked_free(chunk, chunk->size);
    }
    arena->total = 0;
}
