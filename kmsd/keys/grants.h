/*
 * kms_grants: the grants of one key in memory, found by grantee without looking at the others. All
 * generations of a key share one book; a key that never had a grant has none. Thread-safe.
 */
#ifndef KMS_KEYS_GRANTS_H
#define KMS_KEYS_GRANTS_H

#include <stdatomic.h>

#include "kmsd/policy/grant.h"

enum { KMS_GRANTS_MAX = 50000 }; /* of one key (AWS's quota) */

/* A grant that stands in a book or is on its way there: immutable but for revision and links, counted. */
struct kms_granted {
    atomic_uint refs;
    struct kms_grant grant; /* its texts and pairs belong to it */
    uint64_t revision;      /* of the row; 0: not stored yet */
    uint64_t hash;          /* the book's: of what it is found by, and its chains */
    struct kms_granted *next_found, *next_id;
};

/* A copy with one reference. NO_MEMORY. */
KMS_MUST_USE kms_err kms_granted_new(const struct kms_grant *grant, struct kms_granted **ret_granted);
struct kms_granted *kms_granted_ref(struct kms_granted *granted);
void kms_granted_unref(struct kms_granted *granted); /* NULL is a no-op */
static inline void kms_granted_drop(struct kms_granted **granted)
{
    kms_granted_unref(*granted);
}
#define KMS_OWN_GRANTED __attribute__((cleanup(kms_granted_drop))) struct kms_granted *

typedef struct kms_grants kms_grants;

/* An empty book with one reference. NO_MEMORY. */
KMS_MUST_USE kms_err kms_grants_new(kms_grants **ret_grants);
kms_grants *kms_grants_ref(kms_grants *grants);
void kms_grants_unref(kms_grants *grants); /* NULL is a no-op */
void kms_grants_drop(kms_grants **grants);

/* In every function below a NULL book is an empty one. */
size_t kms_grants_count(kms_grants *grants);
/* Takes a reference of its own. Cannot fail: what is stored must show. */
void kms_grants_add(kms_grants *grants, struct kms_granted *granted);
void kms_grants_remove(kms_grants *grants, const struct kms_id *id); /* no such grant: a no-op */
/* A reference, or NULL. */
struct kms_granted *kms_grants_find(kms_grants *grants, const struct kms_id *id);
/* One of the same form that has not expired (kms_grant_same): a reference, or NULL. */
struct kms_granted *kms_grants_find_same(kms_grants *grants, const struct kms_grant *wanted, uint64_t now_us);
/* The first grant that permits it: true, and which. */
bool kms_grants_allow(kms_grants *grants, const struct kms_grant_question *question, struct kms_id *ret_id);

/* Does one that has not expired permit the grantee of `inner` all that `inner` does (kms_grant_within)? */
bool kms_grants_cover(kms_grants *grants, const struct kms_grant *inner, uint64_t now_us);

/* Every grant, in no order, until visit fails; its error is returned. visit must not come back to the
 * book. */
typedef kms_err kms_grants_visit(void *user, const struct kms_granted *granted);
KMS_MUST_USE kms_err kms_grants_each(kms_grants *grants, kms_grants_visit *visit, void *user);
/* May one have expired? False alarms end with the next look at which. */
bool kms_grants_due(kms_grants *grants, uint64_t now_us);
/* Some that have expired, at most cap, each with a reference; returns how many. */
size_t kms_grants_expired(kms_grants *grants, uint64_t now_us, struct kms_granted **expired, size_t cap);

#endif
