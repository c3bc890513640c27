/* Two hash tables (uthash) under one reader-writer lock: keys by id, aliases by name; each key knows its
 * aliases. */
#include "kmsd/keys/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>
#include <utlist.h>

#include "kmsd/keys/state.h"

struct alias_slot {
    struct kms_alias alias;
    struct alias_slot *prev, *next; /* among the aliases of its key */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct key_slot {
    struct kms_id id;
    struct kms_key *key;        /* NULL: only aliases (tombstones) know this id */
    struct kms_key *buried;     /* deleted; NULL: not */
    struct alias_slot *aliases; /* tombstones too */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct kms_keyring {
    pthread_rwlock_t lock;
    struct key_slot *keys;
    struct alias_slot *aliases;
    uint64_t live_keys, live_aliases;
};

kms_err kms_keyring_new(kms_keyring **ret_ring)
{
    kms_keyring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) return KMS_FAIL(NO_MEMORY);
    pthread_rwlock_init(&ring->lock, NULL);
    *ret_ring = ring;
    return KMS_OK;
}

void kms_keyring_free(kms_keyring *ring)
{
    if (ring == NULL) return;
    struct key_slot *key, *next_key;
    struct alias_slot *alias, *next_alias;
    HASH_ITER(hh, ring->aliases, alias, next_alias)
    {
        HASH_DEL(ring->aliases, alias);
        free(alias);
    }
    HASH_ITER(hh, ring->keys, key, next_key)
    {
        HASH_DEL(ring->keys, key);
        kms_key_unref(key->key);
        kms_key_unref(key->buried);
        free(key);
    }
    pthread_rwlock_destroy(&ring->lock);
    free(ring);
}

void kms_keyring_drop(kms_keyring **ring)
{
    kms_keyring_free(*ring);
}

/* The lock is held by the caller, here and in every function that takes slots. */
static struct key_slot *find_key(kms_keyring *ring, const struct kms_id *id)
{
    struct key_slot *slot;
    HASH_FIND(hh, ring->keys, id, sizeof *id, slot);
    return slot;
}

static struct key_slot *need_key(kms_keyring *ring, const struct kms_id *id)
{
    struct key_slot *slot = find_key(ring, id);
    if (slot != NULL) return slot;
    slot = calloc(1, sizeof *slot);
    if (slot == NULL) return NULL;
    slot->id = *id;
    HASH_ADD(hh, ring->keys, id, sizeof slot->id, slot);
    if (!slot->out_of_memory) return slot;
    free(slot);
    return NULL;
}

static struct alias_slot *find_alias(kms_keyring *ring, struct kms_bytes name)
{
    struct alias_slot *slot;
    HASH_FIND(hh, ring->aliases, name.ptr, name.len, slot);
    return slot;
}

struct kms_key *kms_keyring_find(kms_keyring *ring, const struct kms_id *id)
{
    pthread_rwlock_rdlock(&ring->lock);
    struct key_slot *slot = find_key(ring, id);
    struct kms_key *key = slot != NULL && slot->key != NULL ? kms_key_ref(slot->key) : NULL;
    pthread_rwlock_unlock(&ring->lock);
    return key;
}

struct kms_key *kms_keyring_find_buried(kms_keyring *ring, const struct kms_id *id)
{
    pthread_rwlock_rdlock(&ring->lock);
    struct key_slot *slot = find_key(ring, id);
    struct kms_key *key = slot != NULL && slot->buried != NULL ? kms_key_ref(slot->buried) : NULL;
    pthread_rwlock_unlock(&ring->lock);
    return key;
}

void kms_keyring_each(kms_keyring *ring, void (*visit)(void *user, const struct kms_key *key), void *user)
{
    pthread_rwlock_rdlock(&ring->lock);
    for (struct key_slot *slot = ring->keys; slot != NULL; slot = slot->hh.next)
        if (slot->key != NULL) visit(user, slot->key);
    pthread_rwlock_unlock(&ring->lock);
}

bool kms_keyring_alias(kms_keyring *ring, struct kms_bytes name, struct kms_alias *ret_alias)
{
    pthread_rwlock_rdlock(&ring->lock);
    struct alias_slot *slot = find_alias(ring, name);
    if (slot != NULL) *ret_alias = slot->alias;
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
    struct key_slot *slot = find_key(ring, id);
    struct alias_slot *alias;
    if (slot != NULL) {
        DL_FOREACH(slot->aliases, alias)
        {
            if (alias->alias.deleted) continue;
            if (count < cap) aliases[count] = alias->alias;
            count++;
        }
    }
    pthread_rwlock_unlock(&ring->lock);
    qsort(aliases, count < cap ? count : cap, sizeof *aliases, by_name);
    return count;
}

kms_err kms_keyring_put(kms_keyring *ring, struct kms_key *key)
{
    struct kms_key *old = NULL;
    pthread_rwlock_wrlock(&ring->lock);
    struct key_slot *slot = need_key(ring, &key->id);
    if (slot != NULL) {
        old = slot->key;
        slot->key = kms_key_ref(key);
        if (old == NULL) ring->live_keys++;
    }
    pthread_rwlock_unlock(&ring->lock);
    kms_key_unref(old);
    return slot != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

kms_err kms_keyring_bury(kms_keyring *ring, struct kms_key *key)
{
    struct kms_key *old = NULL, *older = NULL;
    key->state = KMS_STATE_DELETED;
    pthread_rwlock_wrlock(&ring->lock);
    struct key_slot *slot = need_key(ring, &key->id);
    if (slot != NULL) {
        old = slot->key;
        older = slot->buried;
        slot->key = NULL;
        slot->buried = kms_key_ref(key);
        if (old != NULL) ring->live_keys--;
    }
    pthread_rwlock_unlock(&ring->lock);
    kms_key_unref(old);
    kms_key_unref(older);
    return slot != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static struct alias_slot *add_alias(kms_keyring *ring, const struct kms_alias *alias)
{
    struct alias_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL) return NULL;
    memcpy(slot->alias.name, alias->name, sizeof slot->alias.name);
    slot->alias.deleted = true; /* until it is filled in: counts as none */
    HASH_ADD(hh, ring->aliases, alias.name, strlen(slot->alias.name), slot);
    if (!slot->out_of_memory) return slot;
    free(slot);
    return NULL;
}

kms_err kms_keyring_put_alias(kms_keyring *ring, const struct kms_alias *alias)
{
    kms_err err = KMS_FAIL(NO_MEMORY);
    pthread_rwlock_wrlock(&ring->lock);
    struct key_slot *to = need_key(ring, &alias->key_id);
    struct alias_slot *slot = find_alias(ring, kms_bytes_text(alias->name));
    bool fresh = slot == NULL;
    if (fresh && to != NULL) slot = add_alias(ring, alias);
    if (to != NULL && slot != NULL) {
        struct key_slot *from = fresh ? NULL : find_key(ring, &slot->alias.key_id);
        if (from != NULL) DL_DELETE(from->aliases, slot);
        DL_APPEND(to->aliases, slot);
        ring->live_aliases += (uint64_t)!alias->deleted - (uint64_t)!slot->alias.deleted;
        slot->alias = *alias;
        err = KMS_OK;
    }
    pthread_rwlock_unlock(&ring->lock);
    return err;
}

void kms_keyring_counts(kms_keyring *ring, uint64_t *ret_keys, uint64_t *ret_aliases)
{
    pthread_rwlock_rdlock(&ring->lock);
    *ret_keys = ring->live_keys;
    *ret_aliases = ring->live_aliases;
    pthread_rwlock_unlock(&ring->lock);
}
