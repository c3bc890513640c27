/*
 * A hash table of things that have a kms_id: 12 bytes a slot, so that a million keys cost little more than
 * themselves. Entries are pointers to the id inside the caller's own structure, which stays his and in its
 * place. Ids are ours, random, and sealed where they are stored: nobody chooses them so that they collide.
 * Not thread-safe.
 */
#ifndef KMS_KEYS_ID_TABLE_H
#define KMS_KEYS_ID_TABLE_H

#include <stddef.h>

#include "base/id.h"

struct kms_id_table {
    struct kms_id **slots; /* NULL: free */
    uint32_t *hashes;  /* of their ids: most of a search does not look at the entries, which lie anywhere */
    size_t size, used; /* size: a power of two, or 0 */
};

/* What an entry is part of; NULL for NULL. */
#define KMS_ID_ENTRY(id, type, member)                                                                       \
    ((id) == NULL ? NULL : (type *)(void *)((char *)(id)-offsetof(type, member)))

struct kms_id *kms_id_table_find(const struct kms_id_table *table, const struct kms_id *id); /* or NULL */
/* Room for so many new ones: until they are in, putting asks for no memory. NO_MEMORY leaves the table as it
 * was. */
KMS_MUST_USE kms_err kms_id_table_reserve(struct kms_id_table *table, size_t more);
/* Puts it in, in the place of one with the same id, which is given back (NULL: none) and whose place takes no
 * memory. NO_MEMORY leaves the table as it was. */
KMS_MUST_USE kms_err kms_id_table_put(struct kms_id_table *table, struct kms_id *entry,
                                      struct kms_id **ret_old);
struct kms_id *kms_id_table_take(struct kms_id_table *table,
                                 const struct kms_id *id); /* out of it; NULL: none */
void kms_id_table_free(struct kms_id_table *table);        /* not the entries */

#endif
