/* Two hash tables (uthash) under a reader-writer lock: roles by name, leases by id. */
#include "kmsd/leases/book.h"

#include <stdlib.h>
#include <string.h>

#include "kmsd/leases/slots.h"

kms_err kms_lease_book_new(kms_lease_book **ret_book)
{
    kms_lease_book *book = calloc(1, sizeof *book);
    if (book == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_rwlock_init(&book->lock, NULL);
    kms_lease_changes_init(book);
    *ret_book = book;
    return KMS_OK;
}

static void free_role(struct role_slot *slot)
{
    kms_lease_waits_free(slot);
    kms_role_unref(slot->role);
    free(slot);
}

static void free_lease(struct lease_slot *slot)
{
    kms_lease_unref(slot->lease);
    free(slot);
}

void kms_lease_book_free(kms_lease_book *book)
{
    if (book == NULL) return;
    struct role_slot *role, *next_role;
    HASH_ITER(hh, book->roles, role, next_role)
    {
        HASH_DEL(book->roles, role);
        free_role(role);
    }
    struct lease_slot *lease, *next_lease;
    HASH_ITER(hh, book->leases, lease, next_lease)
    {
        HASH_DEL(book->leases, lease);
        free_lease(lease);
    }
    kms_lease_changes_end(book);
    pthread_rwlock_destroy(&book->lock);
    free(book);
}

void kms_lease_book_drop(kms_lease_book **book)
{
    kms_lease_book_free(*book);
}

/* ---- roles ---- */

struct kms_role *kms_lease_book_role(kms_lease_book *book, struct kms_bytes name)
{
    pthread_rwlock_rdlock(&book->lock);
    struct role_slot *slot = kms_slot_of_role(book, name);
    struct kms_role *role = slot != NULL ? kms_role_ref(slot->role) : NULL;
    pthread_rwlock_unlock(&book->lock);
    return role;
}

kms_err kms_lease_book_put_role(kms_lease_book *book, struct kms_role *role)
{
    const struct kms_bytes name = kms_bytes_text(role->stored->name);
    struct role_slot *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return KMS_FAIL(NO_MEMORY);
    fresh->role = role;
    pthread_rwlock_wrlock(&book->lock);
    struct role_slot *old = kms_slot_of_role(book, name);
    /* Two changes may come here in the other order than they were stored. */
    bool outdated = old != NULL && strcmp(old->role->stored->instance, role->stored->instance) == 0 &&
                    old->role->revision > role->revision;
    if (!outdated) {
        HASH_ADD_KEYPTR(hh, book->roles, role->stored->name, name.len, fresh);
        if (!fresh->out_of_memory) {
            kms_role_ref(role);
            if (old != NULL) fresh->sweep_us = old->sweep_us;
            if (old != NULL) fresh->turn = old->turn;
            if (old != NULL) HASH_DEL(book->roles, old);
        }
    }
    pthread_rwlock_unlock(&book->lock);
    bool added = !outdated && !fresh->out_of_memory;
    kms_err err = outdated || added ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!added) free(fresh);
    if (added && old != NULL) free_role(old);
    return err;
}

bool kms_lease_book_remove_role(kms_lease_book *book, const struct kms_role *role)
{
    pthread_rwlock_wrlock(&book->lock);
    struct role_slot *slot = kms_slot_of_role(book, kms_bytes_text(role->stored->name));
    bool same = slot != NULL && strcmp(slot->role->stored->instance, role->stored->instance) == 0 &&
                slot->role->revision == role->revision;
    if (same) HASH_DEL(book->roles, slot);
    pthread_rwlock_unlock(&book->lock);
    if (same) free_role(slot);
    return same;
}

size_t kms_lease_book_roles_count(kms_lease_book *book)
{
    pthread_rwlock_rdlock(&book->lock);
    size_t count = HASH_COUNT(book->roles);
    pthread_rwlock_unlock(&book->lock);
    return count;
}

static int by_name(const void *a, const void *b)
{
    const struct kms_role *const *x = a, *const *y = b;
    return strcmp((*x)->stored->name, (*y)->stored->name);
}

kms_err kms_lease_book_roles(kms_lease_book *book, const char *after, size_t limit,
                             struct kms_role_list *ret_list)
{
    struct kms_role_list list = {.count = 0};
    pthread_rwlock_rdlock(&book->lock);
    list.roles = calloc(HASH_COUNT(book->roles) + 1, sizeof(struct kms_role *));
    for (struct role_slot *slot = book->roles; slot != NULL && list.roles != NULL; slot = slot->hh.next)
        if (strcmp(slot->role->stored->name, after) > 0) list.roles[list.count++] = kms_role_ref(slot->role);
    pthread_rwlock_unlock(&book->lock);
    if (list.roles == NULL) return KMS_FAIL(NO_MEMORY);
    qsort(list.roles, list.count, sizeof(struct kms_role *), by_name);
    list.more = list.count > limit;
    while (list.count > limit) kms_role_unref(list.roles[--list.count]);
    *ret_list = list;
    return KMS_OK;
}

void kms_role_list_free(struct kms_role_list *list)
{
    for (size_t i = 0; i < list->count; i++) kms_role_unref(list->roles[i]);
    free(list->roles);
    *list = (struct kms_role_list){.count = 0};
}

/* ---- leases ---- */

struct kms_lease *kms_lease_book_find(kms_lease_book *book, const char *lease_id)
{
    pthread_rwlock_rdlock(&book->lock);
    struct lease_slot *slot = kms_slot_of_lease(book, lease_id);
    struct kms_lease *lease = slot != NULL ? kms_lease_ref(slot->lease) : NULL;
    pthread_rwlock_unlock(&book->lock);
    return lease;
}

kms_err kms_lease_book_put(kms_lease_book *book, struct kms_lease *lease)
{
    const char *id = lease->stored->id;
    struct lease_slot *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) return KMS_FAIL(NO_MEMORY);
    fresh->lease = lease;
    pthread_rwlock_wrlock(&book->lock);
    struct lease_slot *old = kms_slot_of_lease(book, id);
    bool outdated = old != NULL && old->lease->revision > lease->revision;
    if (!outdated) {
        HASH_ADD_KEYPTR(hh, book->leases, id, strlen(id), fresh);
        if (!fresh->out_of_memory) {
            kms_lease_ref(lease);
            if (old != NULL) HASH_DEL(book->leases, old);
        }
    }
    pthread_rwlock_unlock(&book->lock);
    bool added = !outdated && !fresh->out_of_memory;
    kms_err err = outdated || added ? KMS_OK : KMS_FAIL(NO_MEMORY);
    if (!added) free(fresh);
    if (added && old != NULL) free_lease(old);
    return err;
}

void kms_lease_book_remove(kms_lease_book *book, const char *lease_id)
{
    pthread_rwlock_wrlock(&book->lock);
    struct lease_slot *slot = kms_slot_of_lease(book, lease_id);
    if (slot != NULL) HASH_DEL(book->leases, slot);
    pthread_rwlock_unlock(&book->lock);
    if (slot != NULL) free_lease(slot);
}

size_t kms_lease_book_count(kms_lease_book *book, kms_lease_wanted *wanted, const void *user)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&book->lock);
    for (struct lease_slot *slot = book->leases; slot != NULL; slot = slot->hh.next)
        count += wanted == NULL || wanted(user, slot->lease, kms_lease_retry(book, slot));
    pthread_rwlock_unlock(&book->lock);
    return count;
}

static int by_id(const void *a, const void *b)
{
    const struct kms_lease *const *x = a, *const *y = b;
    return strcmp((*x)->stored->id, (*y)->stored->id);
}

kms_err kms_lease_book_list(kms_lease_book *book, const char *after, size_t limit, kms_lease_wanted *wanted,
                            const void *user, struct kms_lease_list *ret_list)
{
    struct kms_lease_list list = {.count = 0};
    pthread_rwlock_rdlock(&book->lock);
    list.leases = calloc(HASH_COUNT(book->leases) + 1, sizeof(struct kms_lease *));
    for (struct lease_slot *slot = book->leases; slot != NULL && list.leases != NULL; slot = slot->hh.next)
        if (strcmp(slot->lease->stored->id, after) > 0 &&
            (wanted == NULL || wanted(user, slot->lease, kms_lease_retry(book, slot))))
            list.leases[list.count++] = kms_lease_ref(slot->lease);
    pthread_rwlock_unlock(&book->lock);
    if (list.leases == NULL) return KMS_FAIL(NO_MEMORY);
    qsort(list.leases, list.count, sizeof(struct kms_lease *), by_id);
    list.more = list.count > limit;
    while (list.count > limit) kms_lease_unref(list.leases[--list.count]);
    *ret_list = list;
    return KMS_OK;
}

void kms_lease_list_free(struct kms_lease_list *list)
{
    for (size_t i = 0; i < list->count; i++) kms_lease_unref(list->leases[i]);
    free(list->leases);
    *list = (struct kms_lease_list){.count = 0};
}
