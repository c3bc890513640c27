/* What the book of leases is made of, for its own files. */
#ifndef KMS_LEASES_SLOTS_H
#define KMS_LEASES_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "kmsd/leases/book.h"

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->out_of_memory = true)
#include <uthash.h>

struct wait {
    unsigned failures;
    uint64_t retry_us; /* monotonic */
};

/* A database that failed for a role, until it works again. */
struct away {
    struct away *next;
    struct wait wait;
    char database[];
};

struct role_slot {
    struct kms_role *role; /* reference held; its name is the key */
    struct away *away;
    uint64_t sweep_us;
    atomic_ullong turn; /* when it had something due last, in turns of the book */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct lease_slot {
    struct kms_lease *lease; /* reference held; its id is the key */
    struct wait wait;
    bool doomed; /* being made, and ending then */
    bool out_of_memory;
    UT_hash_handle hh;
};

struct kms_lease_book {
    pthread_rwlock_t lock;
    struct role_slot *roles;
    struct lease_slot *leases;
    atomic_ullong turns;
    pthread_mutex_t change; /* held from reading leases until their next generations are stored and shown */
    pthread_mutex_t claims_lock;
    pthread_cond_t released;
    struct kms_lease_claim *claims;
};

/* The lock is held by the caller of all these. NULL: none. */
static inline struct role_slot *kms_slot_of_role(kms_lease_book *book, struct kms_bytes name)
{
    struct role_slot *slot;
    HASH_FIND(hh, book->roles, name.ptr, name.len, slot);
    return slot;
}

static inline struct lease_slot *kms_slot_of_lease(kms_lease_book *book, const char *id)
{
    struct lease_slot *slot;
    HASH_FIND(hh, book->leases, id, strlen(id), slot);
    return slot;
}

/* When it may be tried again to end it: neither it nor its database waits for longer. 0: it is not ending. */
uint64_t kms_lease_retry(kms_lease_book *book, const struct lease_slot *slot);
void kms_lease_waits_free(struct role_slot *slot);
/* book_change.c: the locks. */
void kms_lease_changes_init(kms_lease_book *book);
void kms_lease_changes_end(kms_lease_book *book);

#endif
