/* Locked slabs of power-of-two size classes under one lock; what is given back is wiped before reuse. */
#include "base/secret.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SMALLEST_SHIFT = 6,
    LARGEST_SHIFT = 18,
    CLASSES = LARGEST_SHIFT - SMALLEST_SHIFT + 1,
    SLAB_BYTES = 64 * 1024,
    PAGE_BYTES = 4096,
};

struct free_block {
    struct free_block *next;
};

static struct {
    pthread_mutex_t lock;
    struct free_block *free[CLASSES];
    size_t mapped, limit;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct kms_secret {
    size_t len;
    uint8_t data[];
};

void kms_wipe(void *p, size_t len)
{
    if (len > 0) explicit_bzero(p, len);
}

static unsigned class_of(size_t len)
{
    unsigned shift = SMALLEST_SHIFT;
    while (((size_t)1 << shift) < len) shift++;
    return shift - SMALLEST_SHIFT;
}

static size_t class_bytes(unsigned class)
{
    return (size_t)1 << (class + SMALLEST_SHIFT);
}

/* Fail closed: memory that cannot be locked and kept out of dumps is not handed out. */
static void *map_locked(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (mlock(p, len) == 0 && madvise(p, len, MADV_DONTDUMP) == 0 && madvise(p, len, MADV_WIPEONFORK) == 0)
        return p;
    munmap(p, len);
    return NULL;
}

/* Called with the lock held. */
static void *map_within_limit(size_t len)
{
    if (pool.limit != 0 && len > pool.limit - (pool.mapped < pool.limit ? pool.mapped : pool.limit))
        return NULL;
    void *p = map_locked(len);
    if (p != NULL) pool.mapped += len;
    return p;
}

/* Called with the lock held. Slabs stay mapped for the life of the process. */
static bool grow(unsigned class)
{
    size_t block = class_bytes(class), slab = block > SLAB_BYTES ? block : SLAB_BYTES;
    uint8_t *p = map_within_limit(slab);
    if (p == NULL) return false;
    for (size_t at = 0; at + block <= slab; at += block) {
        struct free_block *b = (struct free_block *)(void *)(p + at);
        b->next = pool.free[class];
        pool.free[class] = b;
    }
    return true;
}

/* Too large for a class: a slab of it would stay locked for ever. */
static bool is_large(size_t len)
{
    return len > (size_t)1 << LARGEST_SHIFT;
}

static size_t whole_pages(size_t len)
{
    return (len + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void *alloc_large(size_t len)
{
    pthread_mutex_lock(&pool.lock);
    void *p = map_within_limit(whole_pages(len));
    pthread_mutex_unlock(&pool.lock);
    return p;
}

static void free_large(void *p, size_t len)
{
    munmap(p, whole_pages(len));
    pthread_mutex_lock(&pool.lock);
    pool.mapped -= whole_pages(len);
    pthread_mutex_unlock(&pool.lock);
}

void *kms_locked_alloc(size_t len)
{
    if (len == 0 || len > KMS_LOCKED_MAX_BYTES) return NULL;
    if (is_large(len)) return alloc_large(len);
    unsigned class = class_of(len);
    pthread_mutex_lock(&pool.lock);
    struct free_block *b = NULL;
    if (pool.free[class] != NULL || grow(class)) {
        b = pool.free[class];
        pool.free[class] = b->next;
    }
    pthread_mutex_unlock(&pool.lock);
    if (b != NULL) b->next = NULL; /* the rest was wiped on its way in */
    return b;
}

void kms_locked_free(void *p, size_t len)
{
    kms_locked_free_used(p, len, len);
}

void kms_locked_free_used(void *p, size_t len, size_t used)
{
    if (p == NULL) return;
    kms_wipe(p, used);
    if (is_large(len)) {
        free_large(p, len);
        return;
    }
    unsigned class = class_of(len);
    struct free_block *b = p;
    pthread_mutex_lock(&pool.lock);
    b->next = pool.free[class];
    pool.free[class] = b;
    pthread_mutex_unlock(&pool.lock);
}

void kms_locked_limit(size_t limit_bytes)
{
    pthread_mutex_lock(&pool.lock);
    pool.limit = limit_bytes;
    pthread_mutex_unlock(&pool.lock);
}

size_t kms_locked_used(void)
{
    pthread_mutex_lock(&pool.lock);
    size_t mapped = pool.mapped;
    pthread_mutex_unlock(&pool.lock);
    return mapped;
}

kms_err kms_secret_new(size_t len, kms_secret **ret_secret)
{
    if (len == 0 || len > KMS_SECRET_MAX_BYTES - sizeof(kms_secret)) return KMS_FAIL(INVALID_ARGUMENT);
    kms_secret *s = kms_locked_alloc(sizeof *s + len);
    if (s == NULL) return KMS_FAIL(NO_MEMORY);
    s->len = len;
    *ret_secret = s;
    return KMS_OK;
}

uint8_t *kms_secret_data(kms_secret *s)
{
    return s->data;
}
size_t kms_secret_len(const kms_secret *s)
{
    return s->len;
}

void kms_secret_free(kms_secret *s)
{
    if (s != NULL) kms_locked_free(s, sizeof *s + s->len);
}

void kms_secret_drop(kms_secret **s)
{
    kms_secret_free(*s);
}
