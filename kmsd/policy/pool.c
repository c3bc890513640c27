/* A bump allocator over chunks that double. */
#include "kmsd/policy/pool.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define CHUNK_FIRST_BYTES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHUNK_FIRST_BYTES 0
#endif
#endif
#ifndef CHUNK_FIRST_BYTES
#define CHUNK_FIRST_BYTES                                                                                    \
    512 /* a document of two statements; 0 lets AddressSanitizer see every object's end */
#endif

enum { ALIGNMENT = 16, CHUNK_MOST_BYTES = 16384 };

struct kms_pool_chunk {
    struct kms_pool_chunk *older;
    size_t used, size;
    _Alignas(ALIGNMENT) uint8_t data[];
};

static struct kms_pool_chunk *chunk_add(struct kms_pool *pool, size_t need)
{
    size_t size = pool->newest == NULL ? CHUNK_FIRST_BYTES : pool->newest->size * 2;
    if (CHUNK_FIRST_BYTES == 0) size = 0;
    if (size > CHUNK_MOST_BYTES) size = CHUNK_MOST_BYTES;
    if (size < need) size = need;
    struct kms_pool_chunk *chunk = calloc(1, sizeof *chunk + size);
    if (chunk == NULL) return NULL;
    chunk->size = size;
    chunk->older = pool->newest;
    pool->newest = chunk;
    return chunk;
}

void *kms_pool_alloc(struct kms_pool *pool, size_t size)
{
    struct kms_pool_chunk *chunk = pool->newest;
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded < size) return NULL;
    if (chunk == NULL || chunk->size - chunk->used < rounded)
        chunk = chunk_add(pool, CHUNK_FIRST_BYTES == 0 ? size : rounded);
    if (chunk == NULL) return NULL;
    void *at = chunk->data + chunk->used;
    chunk->used = CHUNK_FIRST_BYTES == 0 ? chunk->size : chunk->used + rounded;
    return at;
}

kms_err kms_pool_copy(struct kms_pool *pool, struct kms_bytes bytes, struct kms_bytes *ret_copy)
{
    uint8_t *copy = kms_pool_alloc(pool, bytes.len + 1);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    kms_copy(copy, bytes.ptr, bytes.len);
    *ret_copy = kms_bytes_of(copy, bytes.len);
    return KMS_OK;
}

void kms_pool_free(struct kms_pool *pool)
{
    while (pool->newest != NULL) {
        struct kms_pool_chunk *chunk = pool->newest;
        pool->newest = chunk->older;
        free(chunk);
    }
}
