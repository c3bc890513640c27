/*
 * kms_keyring: all keys and aliases in memory, so that the crypto lane never waits for the keystore. Loaded
 * at start, then kept by the admin lane: first the keystore, then the keyring. Thread-safe.
 */
#ifndef KMS_KEYS_KEYRING_H
#define KMS_KEYS_KEYRING_H

#include "keystore/keystore.h"
#include "kmsd/keys/documents.h"
#include "kmsd/keys/key.h"

enum {
    KMS_ALIAS_BYTES = 257,      /* "alias/NAME" and NUL (AWS: 256) */
    KMS_ALIASES_AT_ONCE = 1024, /* more than a page has */
    KMS_KEYRING_CHANGES = 128   /* changes at once, at most: more than there are admin threads and jobs */
};

/* An alias, or the tombstone of one: deleted, but it remembers its key. */
struct kms_alias {
    char name[KMS_ALIAS_BYTES];
    struct kms_id key_id;
    uint64_t revision; /* of the row */
    bool deleted;
};

typedef struct kms_keyring kms_keyring;

KMS_MUST_USE kms_err kms_keyring_new(kms_keyring **ret_ring);
void kms_keyring_free(kms_keyring *ring);
void kms_keyring_drop(kms_keyring **ring);
/* Everything that the keystore holds, verified in the same pass; once, into an empty ring. Rows that are
 * not about keys go to `others` (NULL: nowhere). CORRUPT names the row. */
KMS_MUST_USE kms_err kms_keyring_load(kms_keyring *ring, kms_keystore *store, kms_row_visit *others,
                                      void *others_user, struct kms_store_mark *ret_mark,
                                      struct kms_why *why);

/* A reference, or NULL. */
struct kms_key *kms_keyring_find(kms_keyring *ring, const struct kms_id *id);
/* A copy; false: never heard of (a tombstone is heard of). */
bool kms_keyring_alias(kms_keyring *ring, struct kms_bytes name, struct kms_alias *ret_alias);
/* The live aliases of a key, sorted by name, at most cap; returns how many there are. */
size_t kms_keyring_aliases_of(kms_keyring *ring, const struct kms_id *id, struct kms_alias *aliases,
                              size_t cap);
/* The first live aliases of a key by name whose name is not less than `from`, sorted, at most cap (up to
 * KMS_ALIASES_AT_ONCE); returns how many these are. */
size_t kms_keyring_aliases_from(kms_keyring *ring, const struct kms_id *id, const char *from,
                                struct kms_alias *aliases, size_t cap);

/* The key is deleted: found no more, but remembered for its aliases. Takes a reference of its own. */
KMS_MUST_USE kms_err kms_keyring_bury(kms_keyring *ring, struct kms_key *key);
/* A reference to a deleted key, or NULL. */
struct kms_key *kms_keyring_find_buried(kms_keyring *ring, const struct kms_id *id);
/* Some of the live keys, so that nobody waits for long: from *cursor on, which is 0 at first and moves on.
 * False: that was the end. A key may be missed or come twice when the ring changes in between. Visit has the
 * ring locked for reading: it is short and does not touch the ring. */
bool kms_keyring_some(kms_keyring *ring, size_t *cursor, void (*visit)(void *user, const struct kms_key *key),
                      void *user);
/* The documents that keys of this ring share. */
kms_documents *kms_keyring_documents(kms_keyring *ring);

/* Before a change of a key is committed: with this, the put of the key (its burial) that follows the commit
 * does not fail. One that is there (buried) needs no memory. NO_MEMORY leaves the ring as it was. */
KMS_MUST_USE kms_err kms_keyring_reserve(kms_keyring *ring, const struct kms_id *id);
KMS_MUST_USE kms_err kms_keyring_reserve_grave(kms_keyring *ring, const struct kms_id *id);
/* Adds or replaces; takes a reference of its own. NO_MEMORY, only for a new one without room reserved, leaves
 * the ring as it was. */
KMS_MUST_USE kms_err kms_keyring_put(kms_keyring *ring, struct kms_key *key);
KMS_MUST_USE kms_err kms_keyring_put_alias(kms_keyring *ring, const struct kms_alias *alias);

void kms_keyring_counts(kms_keyring *ring, uint64_t *ret_keys, uint64_t *ret_aliases);

#endif
