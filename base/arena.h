/*
 * kms_arena: the memory of one call. Allocation is a bump, there is no free between, and one wipe ends it
 * all, so that no copy of a plaintext outlives its call. Chunks are locked memory (secret.h) and bounded in
 * sum. Not thread-safe: one owner at a time, like the call.
 */
#ifndef KMS_BASE_ARENA_H
#define KMS_BASE_ARENA_H

#include "base/bytes.h"

enum { KMS_ARENA_FIRST_BYTES = 8192 }; /* what a call holds at least while it is active */

typedef struct kms_arena {
    struct kms_arena_chunk *chunks;
    size_t total, limit; /* bytes of all chunks; most that they may be */
} kms_arena;

void kms_arena_init(kms_arena *arena, size_t limit_bytes); /* takes no memory yet */
/* 16-byte aligned, zeroed, valid until wipe. NULL: the limit is reached or no more memory can be locked. */
void *kms_arena_alloc(kms_arena *arena, size_t len);
/* A copy of b; ptr NULL when there is no room (and b is not empty). */
struct kms_bytes kms_arena_copy(kms_arena *arena, struct kms_bytes b);
/* printf into the arena; NULL when there is no room. */
char *kms_arena_print(kms_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kms_arena_wipe(kms_arena *arena); /* gives everything back, wiped; the arena can be used again */

#endif
