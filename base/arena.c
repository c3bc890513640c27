/* A bump allocator over locked chunks. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/secret.h"

struct kms_arena_chunk {
    struct kms_arena_chunk *next;
    size_t size, used; /* bytes, this header included */
};

enum {
    ALIGN = 16,
    GROWN_BYTES = KMS_SECRET_MAX_BYTES /* chunks grow up to this; a larger one holds one thing */
};

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

void kms_arena_init(kms_arena *arena, size_t limit_bytes)
{
    *arena = (kms_arena){.limit = limit_bytes};
}

void kms_arena_init_part(kms_arena *arena, kms_arena *whole)
{
    *arena = (kms_arena){.whole = whole};
}

static bool enter_room(struct kms_arena_room *room, size_t size)
{
    if (room == NULL) return true;
    if (atomic_fetch_add(&room->used, size) + size <= room->limit) return true;
    atomic_fetch_sub(&room->used, size);
    return false;
}

static void leave_room(struct kms_arena_room *room, size_t size)
{
    if (room != NULL) atomic_fetch_sub(&room->used, size);
}

bool kms_arena_charge(kms_arena *arena, size_t len)
{
    if (len > arena->limit - arena->total || !enter_room(arena->room, len)) return false;
    arena->total += len;
    return true;
}

static size_t chunk_size(const kms_arena *arena, size_t len)
{
    size_t size = KMS_ARENA_FIRST_BYTES, least = aligned(sizeof(struct kms_arena_chunk)) + len;
    if (least > GROWN_BYTES) return least;
    while (size < least) size *= 2;
    while (size < arena->total / 4 && size < GROWN_BYTES) size *= 2;
    return size;
}

static struct kms_arena_chunk *add_chunk(kms_arena *arena, size_t len)
{
    size_t size = chunk_size(arena, len);
    if (!kms_arena_charge(arena, size)) return NULL;
    struct kms_arena_chunk *chunk = kms_locked_alloc(size);
    if (chunk == NULL) {
        arena->total -= size;
        leave_room(arena->room, size);
        return NULL;
    }
    *chunk = (struct kms_arena_chunk){.next = arena->chunks, .size = size, .used = aligned(sizeof *chunk)};
    arena->chunks = chunk;
    return chunk;
}

void *kms_arena_alloc(kms_arena *arena, size_t len)
{
    if (arena->whole != NULL) arena = arena->whole;
    if (len > arena->limit) return NULL;
    size_t want = aligned(len > 0 ? len : 1);
    struct kms_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < want) chunk = add_chunk(arena, want);
    if (chunk == NULL) return NULL;
    uint8_t *p = (uint8_t *)chunk + chunk->used;
    chunk->used += want;
    return p;
}

void kms_arena_prepare(kms_arena *arena, size_t len)
{
    const struct kms_arena_chunk *chunk = arena->chunks;
    if (len <= arena->limit && (chunk == NULL || chunk->size - chunk->used < len)) add_chunk(arena, len);
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
    leave_room(arena->room, arena->total);
    while (arena->chunks != NULL) {
        struct kms_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        kms_locked_free_used(chunk, chunk->size, chunk->used);
    }
    arena->total = 0;
}
