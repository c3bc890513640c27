/*
 * kms_lease_book: all database roles and leases in memory. Loaded at start, then kept as the book of secrets
 * is: first the keystore, then the book; but a lease that is about to be stands here first, so that its role
 * is not deleted under it. It also remembers what failed, and when that may be tried again: by the monotonic
 * clock, and not across a restart. Thread-safe.
 */
#ifndef KMS_LEASES_BOOK_H
#define KMS_LEASES_BOOK_H

#include "kmsd/leases/lease.h"
#include "kmsd/leases/role.h"

typedef struct kms_lease_book kms_lease_book;

KMS_MUST_USE kms_err kms_lease_book_new(kms_lease_book **ret_book);
void kms_lease_book_free(kms_lease_book *book); /* NULL is a no-op */
void kms_lease_book_drop(kms_lease_book **book);

/* ---- roles ---- */

struct kms_role *kms_lease_book_role(kms_lease_book *book, struct kms_bytes name); /* a reference, or NULL */
/* Adds, or replaces an older generation; takes a reference of its own. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_book_put_role(kms_lease_book *book, struct kms_role *role);
/* This generation of it: false, and nothing changes, if another one is there, or none. */
bool kms_lease_book_remove_role(kms_lease_book *book, const struct kms_role *role);
size_t kms_lease_book_roles_count(kms_lease_book *book);
/* References to the roles whose names are greater than after, by ascending name, at most limit. */
struct kms_role_list {
    struct kms_role **roles; /* owned */
    size_t count;
    bool more;
};
KMS_MUST_USE kms_err kms_lease_book_roles(kms_lease_book *book, const char *after, size_t limit,
                                          struct kms_role_list *ret_list);
void kms_role_list_free(struct kms_role_list *list);
#define KMS_OWN_ROLE_LIST __attribute__((cleanup(kms_role_list_free))) struct kms_role_list

/* ---- leases ---- */

struct kms_lease *kms_lease_book_find(kms_lease_book *book, const char *lease_id); /* a reference, or NULL */
/* Adds, or replaces one of no higher revision; takes a reference of its own. NO_MEMORY. */
KMS_MUST_USE kms_err kms_lease_book_put(kms_lease_book *book, struct kms_lease *lease);
void kms_lease_book_remove(kms_lease_book *book, const char *lease_id);
/* The same by ascending id, and counted: those that are wanted (NULL: all), which is asked with the book
 * locked; retry_us: not to be tried before that (monotonic). */
typedef bool kms_lease_wanted(const void *user, const struct kms_lease *lease, uint64_t retry_us);
struct kms_lease_list {
    struct kms_lease **leases; /* owned */
    size_t count;
    bool more;
};
KMS_MUST_USE kms_err kms_lease_book_list(kms_lease_book *book, const char *after, size_t limit,
                                         kms_lease_wanted *wanted, const void *user,
                                         struct kms_lease_list *ret_list);
size_t kms_lease_book_count(kms_lease_book *book, kms_lease_wanted *wanted, const void *user);
void kms_lease_list_free(struct kms_lease_list *list);
#define KMS_OWN_LEASE_LIST __attribute__((cleanup(kms_lease_list_free))) struct kms_lease_list

/* ---- changing them ---- */

/* Stored leases change one after the other: between the two, what the book says of a lease is what is stored,
 * so no change of one fails for another. Held while the keystore works, not while a database does. */
kms_lease_book *kms_lease_book_begin_change(kms_lease_book *book);
void kms_lease_book_end_change(kms_lease_book **book);
#define KMS_OWN_LEASE_CHANGE __attribute__((cleanup(kms_lease_book_end_change))) kms_lease_book *

/* One that is being made is to end as soon as it is there. False: it is not being made, or is doomed. */
bool kms_lease_book_doom(kms_lease_book *book, const char *lease_id);
bool kms_lease_book_doomed(kms_lease_book *book, const char *lease_id);

/* Who does something with a lease in its database that another must not do at the same time. Waits at most
 * so long; false: somebody has it still. lease_id is borrowed. release: of a zeroed claim is a no-op. */
struct kms_lease_claim {
    kms_lease_book *book;
    const char *lease_id;
    struct kms_lease_claim *next;
};
KMS_MUST_USE bool kms_lease_book_claim(kms_lease_book *book, const char *lease_id, uint32_t wait_ms,
                                       struct kms_lease_claim *claim);
void kms_lease_book_release(struct kms_lease_claim *claim);
#define KMS_OWN_LEASE_CLAIM __attribute__((cleanup(kms_lease_book_release))) struct kms_lease_claim

/* ---- what is due ---- */

enum { KMS_LEASE_BACKOFF_MOST_S = 600 };
/* Failed: not again before a while, which doubles from first_us each time: one lease, or all those of a role
 * that are in one database. */
void kms_lease_book_delay(kms_lease_book *book, const char *lease_id, uint64_t monotonic_us,
                          uint64_t first_us);
void kms_lease_book_delay_database(kms_lease_book *book, const char *role, const char *database,
                                   uint64_t monotonic_us, uint64_t first_us);
/* It works. */
void kms_lease_book_ease_database(kms_lease_book *book, const char *role, const char *database);
/* The next sweep of it is due then. */
void kms_lease_book_swept(kms_lease_book *book, const char *role, uint64_t next_us);

enum kms_lease_due { KMS_LEASE_DUE_NOTHING, KMS_LEASE_DUE_EXPIRE, KMS_LEASE_DUE_REVOKE, KMS_LEASE_DUE_SWEEP };
struct kms_lease_look {
    uint64_t now_us, monotonic_us;
    bool doubted;                                     /* the wall clock is: nothing expires */
    bool (*free)(const void *user, const char *role); /* no other thread has it */
    const void *user;
};
/* A role that has something due, and whose turn it is: of several that of which nothing was due for
 * longest. */
enum kms_lease_due kms_lease_book_due(kms_lease_book *book, const struct kms_lease_look *look,
                                      char role[KMS_SECRET_NAME_BYTES]);

/* ---- at start ---- */

/* Rows one by one (a kms_row_visit), in the order of the keystore: roles before leases. */
struct kms_lease_loading {
    kms_lease_book *book;
    const struct kms_arn_prefix *prefix;
    struct kms_why *why;
};
KMS_MUST_USE kms_err kms_lease_load_row(void *loading, const struct kms_row *row);

#endif
