/* One list. */
#include "client/lib/shelf.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/lib/failure.h"

static kms_err check(const char *cache, const struct kms_shelf_limit *limits, size_t count,
                     struct kms_why *why)
{
    for (size_t i = 0; i < count; i++) {
        if (limits[i].value <= limits[i].most) continue;
        kms_why_set(why, "%s cache: %s is at most %llu", cache, limits[i].name,
                    (unsigned long long)limits[i].most);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

void *kms_shelf_new(size_t bytes, const struct kms_shelf_kind *kind, const struct kms_shelf_limit *limits,
                    size_t count, struct kms_error *error)
{
    struct kms_why why = {{0}};
    kms_err err = check(kind->cache, limits, count, &why);
    struct kms_shelf *shelf = !kms_failed(err) ? calloc(1, bytes) : NULL;
    if (shelf == NULL) {
        kms_error_local(error, kms_failed(err) ? err : KMS_FAIL(NO_MEMORY), &why);
        return NULL;
    }
    shelf->kind = kind;
    shelf->now_us = kms_monotonic_us;
    shelf->owner = getpid();
    shelf->most = (uint32_t)limits[count - 1].value;
    pthread_mutex_init(&shelf->lock, NULL);
    return shelf;
}

void kms_shelf_free(struct kms_shelf *shelf)
{
    if (!kms_shelf_ours(shelf, NULL)) return; /* its locked memory is zeros here */
    kms_shelf_drop_if(shelf, NULL, NULL);
    pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}

bool kms_shelf_ours(const struct kms_shelf *shelf, struct kms_error *error)
{
    struct kms_why why = {{0}};
    if (shelf->owner == getpid()) return true;
    kms_why_set(&why, "a %s cache does not outlive fork(): make a client and a cache in the child",
                shelf->kind->cache);
    kms_error_local(error, KMS_FAIL(UNSUPPORTED), &why);
    return false;
}

/* Takes the entry that *at points to out of the list. */
static struct kms_shelf_entry *unlink_at(struct kms_shelf *shelf, struct kms_shelf_entry **at)
{
    struct kms_shelf_entry *entry = *at;
    *at = entry->next;
    shelf->count--;
    return entry;
}

static void put_in_front(struct kms_shelf *shelf, struct kms_shelf_entry *entry)
{
    entry->next = shelf->first;
    shelf->first = entry;
    shelf->count++;
}

static void drop_at(struct kms_shelf *shelf, struct kms_shelf_entry **at)
{
    struct kms_shelf_entry *entry = unlink_at(shelf, at);
    shelf->kind->wipe(entry);
    kms_buf_free(&entry->name);
    free(entry);
}

/* Where it stands; *NULL: it does not. */
static struct kms_shelf_entry **find(struct kms_shelf *shelf, const kms_buf *name)
{
    struct kms_shelf_entry **at = &shelf->first;
    while (*at != NULL && !kms_bytes_equal(kms_buf_view(&(*at)->name), kms_buf_view(name))) at = &(*at)->next;
    return at;
}

struct kms_shelf_entry *kms_shelf_find(struct kms_shelf *shelf, const kms_buf *name)
{
    struct kms_shelf_entry **at = find(shelf, name);
    if (*at == NULL) return NULL;
    put_in_front(shelf, unlink_at(shelf, at));
    return shelf->first;
}

void kms_shelf_put(struct kms_shelf *shelf, struct kms_shelf_entry *entry)
{
    struct kms_shelf_entry **at = find(shelf, &entry->name);
    if (*at == NULL && shelf->count >= shelf->most)
        for (at = &shelf->first; (*at)->next != NULL;) at = &(*at)->next;
    if (*at != NULL) drop_at(shelf, at);
    put_in_front(shelf, entry);
}

void kms_shelf_drop_if(struct kms_shelf *shelf,
                       bool (*which)(const struct kms_shelf_entry *entry, const void *of), const void *of)
{
    for (struct kms_shelf_entry **at = &shelf->first; *at != NULL;) {
        if (which == NULL || which(*at, of))
            drop_at(shelf, at);
        else
            at = &(*at)->next;
    }
}

static bool is(const struct kms_shelf_entry *entry, const void *of)
{
    return entry == of;
}

void kms_shelf_drop(struct kms_shelf *shelf, const struct kms_shelf_entry *entry)
{
    kms_shelf_drop_if(shelf, is, entry);
}

static bool dead(const struct kms_shelf_entry *entry, const void *of)
{
    return *(const uint64_t *)of >= entry->dead_us;
}

void kms_shelf_sweep(struct kms_shelf *shelf, uint64_t now_us)
{
    kms_shelf_drop_if(shelf, dead, &now_us);
}
