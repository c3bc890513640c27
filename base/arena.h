/*
 * kms_arena: the memory of one call. Allocation is a bump, there is no free between, and one wipe ends it
 * all, so that no copy of a plaintext outlives its call. Chunks are locked memory (secret.h) and bounded in
 * sum; each is about a quarter of what is there already, at least. Not thread-safe: one owner at a time, like
 * the call; a room may be shared by arenas of any thread.
 */
#ifndef KMS_BASE_ARENA_H
#define KMS_BASE_ARENA_H

#include "base/bytes.h"

enum { KMS_ARENA_FIRST_BYTES = 8192 }; /* what a call holds at least while it is active */

/* What many arenas may take together. */
struct kms_arena_room {
    _Atomic size_t used; /* bytes */
    size_t limit;
};

typedef struct kms_arena {
    struct kms_arena_chunk *chunks;
    size_t total, limit;         /* bytes of all chunks; most that they may be */
    struct kms_arena_room *room; /* shared with others, outlives them; NULL: none */
    struct kms_arena *whole;     /* NULL, or the arena whose memory this one hands out */
} kms_arena;

void kms_arena_init(kms_arena *arena, size_t limit_bytes); /* takes no memory yet */
/* A part of another arena: what it hands out is the whole's, which alone is wiped. */
void kms_arena_init_part(kms_arena *arena, kms_arena *whole);
/* 16-byte aligned, zeroed, valid until wipe. NULL: the limit is reached or no more memory can be locked. */
void *kms_arena_alloc(kms_arena *arena, size_t len);
/* The next allocations, of len bytes in sum, come from one chunk if there is room for it, else from many. */
void kms_arena_prepare(kms_arena *arena, size_t len);
/* Counts len bytes that the caller holds elsewhere until the wipe. False: the limit is reached. */
bool kms_arena_charge(kms_arena *arena, size_t len);
/* A copy of b; ptr NULL when there is no room (and b is not empty). */
struct kms_bytes kms_arena_copy(kms_arena *arena, struct kms_bytes b);
/* printf into the arena; NULL when there is no room. */
char *kms_arena_print(kms_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kms_arena_wipe(kms_arena *arena); /* gives everything back, wiped; the arena can be used again */

#endif
