/* Open addressing with linear probing; what is taken out moves up those behind it, so there are no
 * gravestones. */
#include "kmsd/keys/id_table.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 16 };

/* The upper half of a product with 2^64 / golden ratio (Knuth, TAOCP 3, section 6.4): whatever bits differ
 * reach it. */
static uint32_t hash_of(const struct kms_id *id)
{
    uint64_t half[2];
    _Static_assert(sizeof half == KMS_ID_BYTES, "an id is two halves");
    memcpy(half, id->bytes, sizeof half);
    return (uint32_t)(((half[0] ^ half[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Where a search begins. */
static size_t home(const struct kms_id_table *table, uint32_t hash)
{
    return hash & (table->size - 1);
}

static size_t next(const struct kms_id_table *table, size_t at)
{
    return (at + 1) & (table->size - 1);
}

/* The slot that has this id, or the free one where it would be. The table has a free one. */
static size_t place(const struct kms_id_table *table, const struct kms_id *id, uint32_t hash)
{
    size_t at = home(table, hash);
    while (table->slots[at] != NULL && (table->hashes[at] != hash || !kms_id_equal(table->slots[at], id)))
        at = next(table, at);
    return at;
}

struct kms_id *kms_id_table_find(const struct kms_id_table *table, const struct kms_id *id)
{
    return table->size > 0 ? table->slots[place(table, id, hash_of(id))] : NULL;
}

static void move_to(struct kms_id_table *larger, struct kms_id *entry, uint32_t hash)
{
    size_t at = home(larger, hash);
    while (larger->slots[at] != NULL) at = next(larger, at);
    larger->slots[at] = entry;
    larger->hashes[at] = hash;
}

/* How many it takes before it grows. */
static size_t limit(size_t size)
{
    return size / 4 * 3;
}

static kms_err grow(struct kms_id_table *table, size_t size)
{
    struct kms_id_table larger = {.size = size, .used = table->used};
    larger.slots = calloc(larger.size, sizeof(struct kms_id *));
    larger.hashes = malloc(larger.size * sizeof *larger.hashes);
    if (larger.slots == NULL || larger.hashes == NULL) {
        kms_id_table_free(&larger);
        return KMS_FAIL(NO_MEMORY);
    }
    for (size_t i = 0; i < table->size; i++)
        if (table->slots[i] != NULL) move_to(&larger, table->slots[i], table->hashes[i]);
    kms_id_table_free(table);
    *table = larger;
    return KMS_OK;
}

kms_err kms_id_table_reserve(struct kms_id_table *table, size_t more)
{
    size_t size = table->size > 0 ? table->size : LEAST;
    while (limit(size) < table->used + more) size *= 2;
    return size > table->size ? grow(table, size) : KMS_OK;
}

kms_err kms_id_table_put(struct kms_id_table *table, struct kms_id *entry, struct kms_id **ret_old)
{
    uint32_t hash = hash_of(entry);
    size_t at = table->size > 0 ? place(table, entry, hash) : 0;
    *ret_old = table->size > 0 ? table->slots[at] : NULL;
    if (*ret_old == NULL && table->used >= limit(table->size)) {
        KMS_TRY(kms_id_table_reserve(table, 1));
        at = place(table, entry, hash);
    }
    if (*ret_old == NULL) table->used++;
    table->slots[at] = entry;
    table->hashes[at] = hash;
    return KMS_OK;
}

/* Fills the hole with the first one behind it whose search begins at the hole or before it, and so on. */
static void close_hole(struct kms_id_table *table, size_t hole)
{
    for (size_t at = next(table, hole); table->slots[at] != NULL; at = next(table, at)) {
        size_t from_home = (at - home(table, table->hashes[at])) & (table->size - 1);
        size_t from_hole = (at - hole) & (table->size - 1);
        if (from_home < from_hole) continue;
        table->slots[hole] = table->slots[at];
        table->hashes[hole] = table->hashes[at];
        hole = at;
    }
    table->slots[hole] = NULL;
}

struct kms_id *kms_id_table_take(struct kms_id_table *table, const struct kms_id *id)
{
    if (table->size == 0) return NULL;
    size_t at = place(table, id, hash_of(id));
    struct kms_id *entry = table->slots[at];
    if (entry == NULL) return NULL;
    table->used--;
    close_hole(table, at);
    return entry;
}

void kms_id_table_free(struct kms_id_table *table)
{
    free(table->slots);
    free(table->hashes);
    *table = (struct kms_id_table){0};
}
