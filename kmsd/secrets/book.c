/* A hash table (uthash) under a reader-writer lock: secrets by name. */
#include "kmsd/secrets/book.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>

struct slot {
    struct kms_secret_entry *entry; /* reference held; its name is the key */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct kms_secret_book {
    pthread_mutex_t changing; /* outside of lock */
    pthread_rwlock_t lock;
    struct slot *slots;
    uint64_t bytes;
};

kms_err kms_secret_book_new(kms_secret_book **ret_book)
{
    kms_secret_book *book = calloc(1, sizeof *book);
    if (book == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_mutex_init(&book->changing, NULL);
    pthread_rwlock_init(&book->lock, NULL);
    *ret_book = book;
    return KMS_OK;
}

void kms_secret_book_free(kms_secret_book *book)
{
    if (book == NULL) return;
    struct slot *slot, *next;
    HASH_ITER(hh, book->slots, slot, next)
    {
        HASH_DEL(book->slots, slot);
        kms_secret_entry_unref(slot->entry);
        free(slot);
    }
    pthread_rwlock_destroy(&book->lock);
    pthread_mutex_destroy(&book->changing);
    free(book);
}

void kms_secret_book_drop(kms_secret_book **book)
{
    kms_secret_book_free(*book);
}

static uint64_t bytes_of(const struct kms_secret_entry *entry)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < entry->stored->n_versions; i++)
        if (entry->values[i] != NULL) bytes += entry->values[i]->stored->sealed.len;
    return bytes;
}

/* The lock is held by the caller. */
static struct slot *find(kms_secret_book *book, struct kms_bytes name)
{
    struct slot *slot;
    HASH_FIND(hh, book->slots, name.ptr, name.len, slot);
    return slot;
}

struct kms_secret_entry *kms_secret_book_find(kms_secret_book *book, struct kms_bytes name)
{
    pthread_rwlock_rdlock(&book->lock);
    struct slot *slot = find(book, name);
    struct kms_secret_entry *entry = slot != NULL ? kms_secret_entry_ref(slot->entry) : NULL;
    pthread_rwlock_unlock(&book->lock);
    return entry;
}

struct kms_secret_entry *kms_secret_book_resolve(kms_secret_book *book, const struct kms_secret_name *names,
                                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct kms_secret_entry *entry = kms_secret_book_find(book, names[i].name);
        if (entry == NULL) continue;
        if (names[i].suffix.len == 0 ||
            kms_bytes_equal(names[i].suffix, kms_bytes_text(entry->stored->suffix)))
            return entry;
        kms_secret_entry_unref(entry);
    }
    return NULL;
}

kms_err kms_secret_book_put(kms_secret_book *book, struct kms_secret_entry *entry)
{
    const struct kms_bytes name = kms_bytes_text(entry->stored->name);
    struct slot *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return KMS_FAIL(NO_MEMORY);
    fresh->entry = entry;
    pthread_rwlock_wrlock(&book->lock);
    struct slot *old = find(book, name);
    /* Two changes may come here in the other order than they were stored. */
    bool outdated = old != NULL && strcmp(old->entry->stored->suffix, entry->stored->suffix) == 0 &&
                    old->entry->revision > entry->revision;
    if (!outdated) {
        HASH_ADD_KEYPTR(hh, book->slots, name.ptr, name.len, fresh);
        if (!fresh->out_of_memory) {
            kms_secret_entry_ref(entry);
            book->bytes += bytes_of(entry) - (old != NULL ? bytes_of(old->entry) : 0);
            if (old != NULL) HASH_DEL(book->slots, old);
        }
    }
    pthread_rwlock_unlock(&book->lock);
    bool added = !outdated && !fresh->out_of_memory;
    kms_err err = outdated || added ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!added) free(fresh);
    if (added && old != NULL) {
        kms_secret_entry_unref(old->entry);
        free(old);
    }
    return err;
}

void kms_secret_book_remove(kms_secret_book *book, struct kms_bytes name)
{
    pthread_rwlock_wrlock(&book->lock);
    struct slot *slot = find(book, name);
    if (slot != NULL) {
        HASH_DEL(book->slots, slot);
        book->bytes -= bytes_of(slot->entry);
    }
    pthread_rwlock_unlock(&book->lock);
    if (slot == NULL) return;
    kms_secret_entry_unref(slot->entry);
    free(slot);
}

kms_err kms_secret_book_begin(kms_secret_book *book, const struct kms_secret_entry *entry,
                              struct kms_why *why)
{
    pthread_mutex_lock(&book->changing);
    struct kms_secret_entry *now = kms_secret_book_find(book, kms_bytes_text(entry->stored->name));
    bool fits = now == NULL ? entry->revision == 0
                            : entry->revision == now->revision && strcmp(entry->arn, now->arn) == 0;
    kms_secret_entry_unref(now);
    if (fits) return KMS_OK;
    pthread_mutex_unlock(&book->changing);
    kms_why_set(why, "secret %s was changed or deleted meanwhile", entry->stored->name);
    return KMS_FAIL(CONFLICT);
}

void kms_secret_book_turn(kms_secret_book *book)
{
    pthread_mutex_lock(&book->changing);
}

void kms_secret_book_end(kms_secret_book *book)
{
    pthread_mutex_unlock(&book->changing);
}

size_t kms_secret_book_count(kms_secret_book *book)
{
    pthread_rwlock_rdlock(&book->lock);
    size_t count = HASH_COUNT(book->slots);
    pthread_rwlock_unlock(&book->lock);
    return count;
}

size_t kms_secret_book_count_of(kms_secret_book *book,
                                bool (*wanted)(const void *user, const struct kms_secret_entry *entry),
                                const void *user)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&book->lock);
    for (const struct slot *slot = book->slots; slot != NULL; slot = slot->hh.next)
        count += wanted(user, slot->entry);
    pthread_rwlock_unlock(&book->lock);
    return count;
}

uint64_t kms_secret_book_bytes(kms_secret_book *book)
{
    pthread_rwlock_rdlock(&book->lock);
    uint64_t bytes = book->bytes;
    pthread_rwlock_unlock(&book->lock);
    return bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct kms_secret_entry *const *x = a, *const *y = b;
    return strcmp((*x)->stored->name, (*y)->stored->name);
}

kms_err kms_secret_book_list(kms_secret_book *book, const char *after, size_t limit,
                             bool (*wanted)(const void *user, const struct kms_secret_entry *entry),
                             const void *user, struct kms_secret_list *ret_list)
{
    struct kms_secret_list list = {.count = 0};
    pthread_rwlock_rdlock(&book->lock);
    list.entries = calloc(HASH_COUNT(book->slots) + 1, sizeof(struct kms_secret_entry *));
    for (struct slot *slot = book->slots; slot != NULL && list.entries != NULL; slot = slot->hh.next)
        if (strcmp(slot->entry->stored->name, after) > 0 && (wanted == NULL || wanted(user, slot->entry)))
            list.entries[list.count++] = kms_secret_entry_ref(slot->entry);
    pthread_rwlock_unlock(&book->lock);
    if (list.entries == NULL) return KMS_FAIL(NO_MEMORY);
    qsort(list.entries, list.count, sizeof(struct kms_secret_entry *), by_name);
    list.more = list.count > limit;
    while (list.count > limit) kms_secret_entry_unref(list.entries[--list.count]);
    *ret_list = list;
    return KMS_OK;
}

void kms_secret_list_free(struct kms_secret_list *list)
{
    for (size_t i = 0; i < list->count; i++) kms_secret_entry_unref(list->entries[i]);
    free(list->entries);
    *list = (struct kms_secret_list){.count = 0};
}
