/* The keyring at start, from one pass over the keystore: keys, versions, aliases; what does not fit is
 * corruption. */
#include <stdlib.h>
#include <string.h>

#include "kmsd/keys/grant_record.h"
#include "kmsd/keys/record.h"

struct loading {
    kms_keyring *ring;
    struct kms_why *why;
    struct kms_key *key; /* whose versions are being read; reference held */
    /* Keys in the order in which they were read, which is that of the rows that belong to them: so those need
     * no look into the ring, where neighbours lie far from each other. References held. */
    struct kms_key **order;
    size_t count, room, at;
    kms_row_visit *others;
    void *others_user;
    uint64_t versions_promised, versions_seen;
};

static kms_err remember(struct loading *l, struct kms_key *key)
{
    enum { FIRST = 1024 };
    if (l->count == l->room) {
        size_t room = l->room > 0 ? l->room * 2 : FIRST;
        struct kms_key **larger = reallocarray(l->order, room, sizeof(struct kms_key *));
        if (larger == NULL) return KMS_FAIL(NO_MEMORY);
        l->order = larger;
        l->room = room;
    }
    l->order[l->count++] = kms_key_ref(key);
    return KMS_OK;
}

/* The key of a row that is named by it: the next one, or another one that has to be looked for. */
static void find_key(struct loading *l, const char *row_id, const struct kms_id *id)
{
    enum { LEN = KMS_ID_TEXT - 1 };
    if (l->key != NULL && kms_id_equal(&l->key->id, id)) return;
    while (l->at < l->count && memcmp(l->order[l->at]->id_text, row_id, LEN) < 0) l->at++;
    bool next = l->at < l->count && memcmp(l->order[l->at]->id_text, row_id, LEN) == 0;
    kms_key_unref(l->key);
    l->key = next ? kms_key_ref(l->order[l->at]) : kms_keyring_find(l->ring, id);
}

static kms_err load_key(void *user, const struct kms_row *row)
{
    struct loading *l = user;
    KMS_OWN_KEY key = NULL;
    KMS_TRY(kms_key_from_row(row, kms_keyring_documents(l->ring), &key, l->why));
    l->versions_promised += key->version_count;
    KMS_TRY(kms_keyring_put(l->ring, key));
    return remember(l, key);
}

/* "KEYID/0000002a" -> key (kept in l) and number. */
static kms_err find_version(struct loading *l, const struct kms_row *row, uint32_t *ret_version)
{
    struct kms_id id;
    uint8_t number[4];
    if (strlen(row->id) != KMS_VERSION_ROW_BYTES - 1 ||
        !kms_id_parse(kms_bytes_of(row->id, KMS_ID_TEXT - 1), &id) ||
        !kms_unhex(row->id + KMS_ID_TEXT, 8, number, sizeof number)) {
        kms_why_set(l->why, "keystore row %s: not the name of a key version", row->id);
        return KMS_FAIL(CORRUPT);
    }
    find_key(l, row->id, &id);
    uint32_t version =
        (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 | number[3];
    if (l->key == NULL || version < 1 || version > l->key->version_count ||
        l->key->versions[version - 1].wrapped.ptr != NULL) {
        kms_why_set(l->why, "keystore row %s: a version that no key has", row->id);
        return KMS_FAIL(CORRUPT);
    }
    *ret_version = version;
    return KMS_OK;
}

static kms_err load_version(void *user, const struct kms_row *row)
{
    struct loading *l = user;
    uint32_t version;
    KMS_TRY(find_version(l, row, &version));
    l->versions_seen++; /* each of them once: find_version refuses doubles */
    return kms_version_from_row(l->key, version, row, l->why);
}

static kms_err load_alias(void *user, const struct kms_row *row)
{
    struct loading *l = user;
    struct kms_alias alias;
    KMS_TRY(kms_alias_from_row(row, &alias, l->why));
    return kms_keyring_put_alias(l->ring, &alias);
}

static kms_err load_grant(void *user, const struct kms_row *row)
{
    struct loading *l = user;
    struct kms_id key_id;
    KMS_OWN_GRANTED granted = NULL;
    KMS_TRY(kms_grant_from_row(row, &key_id, &granted, l->why));
    find_key(l, row->id, &key_id);
    if (l->key == NULL) {
        kms_why_set(l->why, "keystore row %s: a grant of a key that does not exist", row->id);
        return KMS_FAIL(CORRUPT);
    }
    KMS_TRY(kms_key_need_grants(l->key));
    kms_grants_add(l->key->grants, granted);
    return KMS_OK;
}

static kms_err load_tombstone(void *user, const struct kms_row *row)
{
    struct loading *l = user;
    KMS_OWN_KEY key = NULL;
    KMS_TRY(kms_tombstone_from_row(row, kms_keyring_documents(l->ring), &key, l->why));
    return kms_keyring_bury(l->ring, key);
}

static kms_err load_row(void *user, const struct kms_row *row)
{
    switch (row->table) {
    case KMS_TABLE_KEY:
        return load_key(user, row);
    case KMS_TABLE_KEY_VERSION:
        return load_version(user, row);
    case KMS_TABLE_ALIAS:
        return load_alias(user, row);
    case KMS_TABLE_GRANT:
        return load_grant(user, row);
    case KMS_TABLE_TOMBSTONE:
        return load_tombstone(user, row);
    default: { /* tokens and the like stay in the keystore until one is asked for */
        const struct loading *l = user;
        return l->others != NULL ? l->others(l->others_user, row) : KMS_OK;
    }
    }
}

kms_err kms_keyring_load(kms_keyring *ring, kms_keystore *store, kms_row_visit *others, void *others_user,
                         struct kms_store_mark *ret_mark, struct kms_why *why)
{
    struct loading l = {.ring = ring, .why = why, .others = others, .others_user = others_user};
    kms_err err = kms_keystore_load(store, load_row, &l, ret_mark, why);
    kms_key_unref(l.key);
    for (size_t i = 0; i < l.count; i++) kms_key_unref(l.order[i]);
    free(l.order);
    KMS_TRY(err);
    if (l.versions_seen == l.versions_promised) return KMS_OK;
    kms_why_set(why, "the keystore holds %llu key versions, its keys have %llu",
                (unsigned long long)l.versions_seen, (unsigned long long)l.versions_promised);
    return KMS_FAIL(CORRUPT);
}
