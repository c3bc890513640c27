/* Keys by id, deleted ones, aliases by key and by name, under one reader-writer lock. */
#include "kmsd/keys/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>
#include <utlist.h>

#include "kmsd/keys/id_table.h"
#include "kmsd/keys/state.h"

/* struct kms_alias with the name that it has, not the longest one. */
struct alias_slot {
    struct kms_id key_id;
    uint64_t revision;
    struct alias_slot *prev, *next; /* among the aliases of its key */
    UT_hash_handle hh;
    bool deleted, out_of_memory;
    char name[];
};

/* The aliases of one key, tombstones too; stays when there are none any more. */
struct alias_list {
    struct kms_id key_id; /* entry of the table */
    struct alias_slot *first;
};

struct kms_keyring {
    pthread_rwlock_t lock;
    struct kms_id_table keys, buried; /* of kms_key: live ones, deleted ones */
    struct kms_id_table lists;        /* of alias_list */
    struct alias_slot *aliases;
    uint64_t live_aliases;
    kms_documents *documents;
};

kms_err kms_keyring_new(kms_keyring **ret_ring)
{
    KMS_OWN(kms_keyring) ring = calloc(1, sizeof *ring);
    if (ring == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_rwlock_init(&ring->lock, NULL);
    KMS_TRY(kms_documents_new(&ring->documents));
    *ret_ring = KMS_GIVE(ring);
    return KMS_OK;
}

static struct kms_key *key_of(struct kms_id *entry)
{
    return KMS_ID_ENTRY(entry, struct kms_key, id);
}

static void free_keys(struct kms_id_table *table)
{
    for (size_t i = 0; i < table->size; i++) kms_key_unref(key_of(table->slots[i]));
    kms_id_table_free(table);
}

void kms_keyring_free(kms_keyring *ring)
{
    if (ring == NULL) return;
    struct alias_slot *alias, *next_alias;
    HASH_ITER(hh, ring->aliases, alias, next_alias)
    {
        HASH_DEL(ring->aliases, alias);
        free(alias);
    }
    free_keys(&ring->keys);
    free_keys(&ring->buried);
    for (size_t i = 0; i < ring->lists.size; i++)
        free(KMS_ID_ENTRY(ring->lists.slots[i], struct alias_list, key_id));
    kms_id_table_free(&ring->lists);
    kms_documents_free(ring->documents);
    pthread_rwlock_destroy(&ring->lock);
    free(ring);
}

void kms_keyring_drop(kms_keyring **ring)
{
    kms_keyring_free(*ring);
}

kms_documents *kms_keyring_documents(kms_keyring *ring)
{
    return ring->documents;
}

/* The lock is held by the caller, here and in every function that takes slots or lists. */
static struct alias_list *find_list(kms_keyring *ring, const struct kms_id *id)
{
    return KMS_ID_ENTRY(kms_id_table_find(&ring->lists, id), struct alias_list, key_id);
}

static struct alias_list *need_list(kms_keyring *ring, const struct kms_id *id)
{
    struct alias_list *list = find_list(ring, id);
    struct kms_id *none;
    if (list != NULL) return list;
    list = calloc(1, sizeof *list);
    if (list == NULL) return NULL;
    list->key_id = *id;
    if (!kms_failed(kms_id_table_put(&ring->lists, &list->key_id, &none))) return list;
    free(list);
    return NULL;
}

static struct alias_slot *find_alias(kms_keyring *ring, struct kms_bytes name)
{
    struct alias_slot *slot;
    HASH_FIND(hh, ring->aliases, name.ptr, name.len, slot);
    return slot;
}

static struct kms_key *find_in(kms_keyring *ring, const struct kms_id_table *table, const struct kms_id *id)
{
    pthread_rwlock_rdlock(&ring->lock);
    struct kms_key *key = key_of(kms_id_table_find(table, id));
    if (key != NULL) kms_key_ref(key);
    pthread_rwlock_unlock(&ring->lock);
    return key;
}

struct kms_key *kms_keyring_find(kms_keyring *ring, const struct kms_id *id)
{
    return find_in(ring, &ring->keys, id);
}

struct kms_key *kms_keyring_find_buried(kms_keyring *ring, const struct kms_id *id)
{
    return find_in(ring, &ring->buried, id);
}

bool kms_keyring_some(kms_keyring *ring, size_t *cursor, void (*visit)(void *user, const struct kms_key *key),
                      void *user)
{
    enum { SLOTS = 4096 };
    pthread_rwlock_rdlock(&ring->lock);
    size_t end = ring->keys.size - *cursor > SLOTS ? *cursor + SLOTS : ring->keys.size;
    for (; *cursor < end; ++*cursor)
        if (ring->keys.slots[*cursor] != NULL) visit(user, key_of(ring->keys.slots[*cursor]));
    bool more = *cursor < ring->keys.size;
    pthread_rwlock_unlock(&ring->lock);
    return more;
}

static void tell_alias(const struct alias_slot *slot, struct kms_alias *ret_alias)
{
    *ret_alias =
        (struct kms_alias){.key_id = slot->key_id, .revision = slot->revision, .deleted = slot->deleted};
    kms_copy(ret_alias->name, slot->name, strlen(slot->name) + 1);
}

bool kms_keyring_alias(kms_keyring *ring, struct kms_bytes name, struct kms_alias *ret_alias)
{
    pthread_rwlock_rdlock(&ring->lock);
    struct alias_slot *slot = find_alias(ring, name);
    if (slot != NULL) tell_alias(slot, ret_alias);
    pthread_rwlock_unlock(&ring->lock);
    return slot != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kms_alias *)a)->name, ((const struct kms_alias *)b)->name);
}

size_t kms_keyring_aliases_of(kms_keyring *ring, const struct kms_id *id, struct kms_alias *aliases,
                              size_t cap)
{
    size_t count = 0;
    pthread_rwlock_rdlock(&ring->lock);
    struct alias_list *list = find_list(ring, id);
    struct alias_slot *alias;
    if (list != NULL) {
        DL_FOREACH(list->first, alias)
        {
            if (alias->deleted) continue;
            if (count < cap) tell_alias(alias, &aliases[count]);
            count++;
        }
    }
    pthread_rwlock_unlock(&ring->lock);
    qsort(aliases, count < cap ? count : cap, sizeof *aliases, by_name);
    return count;
}

/* The first ones by name. */
struct first_aliases {
    const struct alias_slot *slot[KMS_ALIASES_AT_ONCE];
    size_t held, cap;
};

static void hold_if_first(struct first_aliases *first, const struct alias_slot *slot)
{
    size_t at = first->held;
    while (at > 0 && strcmp(slot->name, first->slot[at - 1]->name) < 0) at--;
    if (at == first->cap) return;
    size_t last = first->held < first->cap ? first->held++ : first->cap - 1;
    memmove(&first->slot[at + 1], &first->slot[at], (last - at) * sizeof first->slot[0]);
    first->slot[at] = slot;
}

size_t kms_keyring_aliases_from(kms_keyring *ring, const struct kms_id *id, const char *from,
                                struct kms_alias *aliases, size_t cap)
{
    struct first_aliases first = {.cap = cap < KMS_ALIASES_AT_ONCE ? cap : KMS_ALIASES_AT_ONCE};
    pthread_rwlock_rdlock(&ring->lock);
    struct alias_list *list = find_list(ring, id);
    struct alias_slot *alias;
    if (list != NULL) {
        DL_FOREACH(list->first, alias)
        {
            if (!alias->deleted && strcmp(alias->name, from) >= 0) hold_if_first(&first, alias);
        }
    }
    for (size_t i = 0; i < first.held; i++) tell_alias(first.slot[i], &aliases[i]);
    pthread_rwlock_unlock(&ring->lock);
    return first.held;
}

/* As many as may be between reservation and put at once: then the room of one is never that of another. */
static kms_err reserve_in(kms_keyring *ring, struct kms_id_table *table, const struct kms_id *id)
{
    pthread_rwlock_wrlock(&ring->lock);
    bool there = kms_id_table_find(table, id) != NULL;
    kms_err err = there ? KMS_OK : kms_id_table_reserve(table, KMS_KEYRING_CHANGES);
    pthread_rwlock_unlock(&ring->lock);
    return err;
}

kms_err kms_keyring_reserve(kms_keyring *ring, const struct kms_id *id)
{
    return reserve_in(ring, &ring->keys, id);
}

kms_err kms_keyring_reserve_grave(kms_keyring *ring, const struct kms_id *id)
{
    return reserve_in(ring, &ring->buried, id);
}

kms_err kms_keyring_put(kms_keyring *ring, struct kms_key *key)
{
    struct kms_id *old = NULL;
    pthread_rwlock_wrlock(&ring->lock);
    kms_err err = kms_id_table_put(&ring->keys, &key->id, &old);
    if (!kms_failed(err)) kms_key_ref(key);
    pthread_rwlock_unlock(&ring->lock);
    kms_key_unref(key_of(old));
    return err;
}

kms_err kms_keyring_bury(kms_keyring *ring, struct kms_key *key)
{
    struct kms_id *old = NULL, *older = NULL;
    key->state = KMS_STATE_DELETED;
    pthread_rwlock_wrlock(&ring->lock);
    kms_err err = kms_id_table_put(&ring->buried, &key->id, &older);
    if (!kms_failed(err)) {
        kms_key_ref(key);
        old = kms_id_table_take(&ring->keys, &key->id);
    }
    pthread_rwlock_unlock(&ring->lock);
    kms_key_unref(key_of(old));
    kms_key_unref(key_of(older));
    return err;
}

static struct alias_slot *add_alias(kms_keyring *ring, const struct kms_alias *alias)
{
    size_t len = strlen(alias->name);
    struct alias_slot *slot = calloc(1, sizeof *slot + len + 1);
    if (slot == NULL) return NULL;
    kms_copy(slot->name, alias->name, len);
    slot->deleted = true; /* until it is filled in: counts as none */
    HASH_ADD(hh, ring->aliases, name, len, slot);
    if (!slot->out_of_memory) return slot;
    free(slot);
    return NULL;
}

kms_err kms_keyring_put_alias(kms_keyring *ring, const struct kms_alias *alias)
{
    kms_err err = KMS_FAIL(NO_MEMORY);
    pthread_rwlock_wrlock(&ring->lock);
    struct alias_list *to = need_list(ring, &alias->key_id);
    struct alias_slot *slot = find_alias(ring, kms_bytes_text(alias->name));
    bool fresh = slot == NULL;
    if (fresh && to != NULL) slot = add_alias(ring, alias);
    if (to != NULL && slot != NULL) {
        struct alias_list *from = fresh ? NULL : find_list(ring, &slot->key_id);
        if (from != NULL) DL_DELETE(from->first, slot);
        DL_APPEND(to->first, slot);
        ring->live_aliases += (uint64_t)!alias->deleted - (uint64_t)!slot->deleted;
        slot->key_id = alias->key_id;
        slot->revision = alias->revision;
        slot->deleted = alias->deleted;
        err = KMS_OK;
    }
    pthread_rwlock_unlock(&ring->lock);
    return err;
}

void kms_keyring_counts(kms_keyring *ring, uint64_t *ret_keys, uint64_t *ret_aliases)
{
    pthread_rwlock_rdlock(&ring->lock);
    *ret_keys = ring->keys.used;
    *ret_aliases = ring->live_aliases;
    pthread_rwlock_unlock(&ring->lock);
}
