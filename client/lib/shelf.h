/*
 * What the caches of libkms stand on: entries by name, the one used last in front, at most so many, none
 * beyond its time, wiped when it goes. It does not outlive fork(): locked memory is zeros in the child.
 */
#ifndef KMS_CLIENT_SHELF_H
#define KMS_CLIENT_SHELF_H

#include <kms/client.h>
#include <pthread.h>

#include "base/bytes.h"

/* The first member of what a cache keeps. */
struct kms_shelf_entry {
    struct kms_shelf_entry *next;
    kms_buf name;
    uint64_t dead_us; /* from here on nobody gets it */
};

struct kms_shelf_kind {
    const char *cache; /* what errors call it */
    /* What the cache has in an entry; name and block are the shelf's. */
    void (*wipe)(struct kms_shelf_entry *entry);
};

/* The first member of a cache. */
struct kms_shelf {
    const struct kms_shelf_kind *kind;
    uint64_t (*now_us)(void);
    pid_t owner;
    uint32_t most;
    pthread_mutex_t lock; /* of what follows */
    struct kms_shelf_entry *first;
    uint32_t count;
};

struct kms_shelf_limit {
    const char *name;
    uint64_t value, most;
};

/* A cache of so many bytes, the rest of it zeros; the last limit is how many entries it has at most. NULL:
 * error says which limit is above its own (INVALID_ARGUMENT), or NO_MEMORY. */
void *kms_shelf_new(size_t bytes, const struct kms_shelf_kind *kind, const struct kms_shelf_limit *limits,
                    size_t count, struct kms_error *error);
/* With its cache and all entries. Not in the child of a fork. */
void kms_shelf_free(struct kms_shelf *shelf);
/* False: this is the child of a fork, and error, which may be NULL, says so. */
bool kms_shelf_ours(const struct kms_shelf *shelf, struct kms_error *error);

/* The lock is held for the rest. */
struct kms_shelf_entry *kms_shelf_find(struct kms_shelf *shelf, const kms_buf *name); /* goes to the front */
/* In the place of the one of its name, or else of the one unused for longest when there are too many. */
void kms_shelf_put(struct kms_shelf *shelf, struct kms_shelf_entry *entry);
void kms_shelf_drop(struct kms_shelf *shelf, const struct kms_shelf_entry *entry);
/* Those that are `which`; NULL: all. */
void kms_shelf_drop_if(struct kms_shelf *shelf,
                       bool (*which)(const struct kms_shelf_entry *entry, const void *of), const void *of);
void kms_shelf_sweep(struct kms_shelf *shelf, uint64_t now_us); /* what is dead */

#endif
