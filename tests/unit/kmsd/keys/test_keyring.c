/* The keyring: keys by id, aliases by name, tombstones, counts, and many readers beside one writer. */
#include "kmsd/keys/keyring.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static kms_keyring *ring_new(void)
{
    kms_keyring *ring = NULL;
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&ring));
    return ring;
}

static void put(kms_keyring *ring, unsigned number, uint32_t versions)
{
    KMS_OWN_KEY key = key_of(number, versions);
    KMS_ASSERT_OK_FATAL(kms_keyring_put(ring, key));
}

static void put_alias(kms_keyring *ring, const char *name, unsigned key_number, bool deleted)
{
    struct kms_alias alias = alias_of(name, key_number, deleted);
    KMS_ASSERT_OK_FATAL(kms_keyring_put_alias(ring, &alias));
}

static bool counts(kms_keyring *ring, uint64_t want_keys, uint64_t want_aliases)
{
    uint64_t keys, aliases;
    kms_keyring_counts(ring, &keys, &aliases);
    return keys == want_keys && aliases == want_aliases;
}

static void keys(void)
{
    KMS_OWN(kms_keyring) ring = ring_new();
    struct kms_id one = id_of(1), two = id_of(2);
    CU_ASSERT_PTR_NULL(kms_keyring_find(ring, &one));
    put(ring, 1, 1);
    KMS_OWN_KEY first = kms_keyring_find(ring, &one);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_PTR_NULL(kms_keyring_find(ring, &two));
    CU_ASSERT(counts(ring, 1, 0));
    put(ring, 1, 2);
    KMS_OWN_KEY second = kms_keyring_find(ring, &one);
    CU_ASSERT_EQUAL(second->version_count, 2);
    CU_ASSERT_EQUAL(first->version_count, 1); /* whoever began with it keeps it */
    CU_ASSERT(counts(ring, 1, 0));
    for (unsigned i = 2; i < 300; i++) put(ring, i, 1);
    CU_ASSERT(counts(ring, 299, 0));
}

static void aliases(void)
{
    KMS_OWN(kms_keyring) ring = ring_new();
    struct kms_id one = id_of(1), two = id_of(2);
    struct kms_alias found[4];
    put(ring, 1, 1);
    put(ring, 2, 1);
    CU_ASSERT_FALSE(kms_keyring_alias(ring, kms_bytes_text("alias/b"), found));
    put_alias(ring, "alias/b", 1, false);
    put_alias(ring, "alias/a", 1, false);
    put_alias(ring, "alias/c", 2, false);
    CU_ASSERT(kms_keyring_alias(ring, kms_bytes_text("alias/b"), found));
    CU_ASSERT(kms_id_equal(&found->key_id, &one) && !found->deleted);
    CU_ASSERT_FALSE(kms_keyring_alias(ring, kms_bytes_text("alias/"), found));
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &one, found, 4), 2);
    CU_ASSERT_STRING_EQUAL(found[0].name, "alias/a");
    CU_ASSERT_STRING_EQUAL(found[1].name, "alias/b");
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &one, found, 1), 2);
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &one, found, 0), 2);
    CU_ASSERT(counts(ring, 2, 3));

    put_alias(ring, "alias/b", 2, false); /* moves */
    CU_ASSERT(kms_keyring_alias(ring, kms_bytes_text("alias/b"), found));
    CU_ASSERT(kms_id_equal(&found->key_id, &two));
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &one, found, 4), 1);
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &two, found, 4), 2);
    CU_ASSERT(counts(ring, 2, 3));
}

/* Made in an order that is not theirs, more than are told at once. */
static void aliases_from_a_name_on(void)
{
    enum { MANY = KMS_ALIASES_AT_ONCE + 200, STEP = 7 };
    _Static_assert(MANY % STEP != 0, "every number comes once");
    static struct kms_alias found[MANY];
    KMS_OWN(kms_keyring) ring = ring_new();
    const struct kms_id one = id_of(1), two = id_of(2);
    char name[KMS_ALIAS_BYTES];
    put(ring, 1, 1);
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &one, "", found, MANY), 0);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "alias/%05u", i * STEP % MANY);
        put_alias(ring, name, 1, false);
    }
    put_alias(ring, "alias/00003", 1, true);
    put_alias(ring, "alias/00004", 2, false);
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &one, "", found, MANY), KMS_ALIASES_AT_ONCE);
    CU_ASSERT_STRING_EQUAL(found[KMS_ALIASES_AT_ONCE - 1].name, "alias/01025"); /* two are not among them */
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &one, "alias/00002", found, 3), 3);
    CU_ASSERT_STRING_EQUAL(found[0].name, "alias/00002");
    CU_ASSERT_STRING_EQUAL(found[1].name, "alias/00005");
    CU_ASSERT_STRING_EQUAL(found[2].name, "alias/00006");
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &one, "alias/01222a", found, 3), 1);
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &one, "b", found, 3), 0);
    CU_ASSERT_EQUAL(kms_keyring_aliases_from(ring, &two, "", found, 3), 1);
}

/* Every key once in a row of pieces, when nothing changes meanwhile. */
static void note_key(void *user, const struct kms_key *key)
{
    unsigned *seen = user;
    seen[key->created_us - 1000]++;
}

static void in_pieces(void)
{
    enum { MANY = 9000 };
    static unsigned seen[MANY];
    KMS_OWN(kms_keyring) ring = ring_new();
    size_t cursor = 0, pieces = 1, wrong = 0;
    for (unsigned i = 0; i < MANY; i++) put(ring, i, 1);
    while (kms_keyring_some(ring, &cursor, note_key, seen)) pieces++;
    CU_ASSERT(pieces > 1);
    for (unsigned i = 0; i < MANY; i++) wrong += seen[i] != 1;
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_FALSE(kms_keyring_some(ring, &cursor, note_key, seen)); /* it stays at the end */
}

static void tombstones(void)
{
    KMS_OWN(kms_keyring) ring = ring_new();
    struct kms_id one = id_of(1);
    struct kms_alias found[2];
    put(ring, 1, 1);
    put_alias(ring, "alias/a", 1, false);
    put_alias(ring, "alias/a", 1, true);
    CU_ASSERT(kms_keyring_alias(ring, kms_bytes_text("alias/a"), found)); /* heard of */
    CU_ASSERT(found->deleted && kms_id_equal(&found->key_id, &one));
    CU_ASSERT_EQUAL(kms_keyring_aliases_of(ring, &one, found, 2), 0);
    CU_ASSERT(counts(ring, 1, 0));
    put_alias(ring, "alias/a", 1, true);
    CU_ASSERT(counts(ring, 1, 0));
    put_alias(ring, "alias/a", 1, false);
    CU_ASSERT(counts(ring, 1, 1));
    put_alias(ring, "alias/gone", 9, true); /* of a key that is not there any more */
    struct kms_id nine = id_of(9);
    CU_ASSERT_PTR_NULL(kms_keyring_find(ring, &nine));
    CU_ASSERT(counts(ring, 1, 1));
    put(ring, 9, 1);
    CU_ASSERT(counts(ring, 2, 1));
}

enum { READERS = 3, CHANGES = 400 };
static atomic_bool done;

static void *read_on(void *user)
{
    kms_keyring *ring = user;
    struct kms_id one = id_of(1);
    struct kms_alias found[4];
    uintptr_t wrong = 0;
    while (!atomic_load(&done)) {
        KMS_OWN_KEY key = kms_keyring_find(ring, &one);
        if (key == NULL || key->versions[key->version_count - 1].wrapped.len != 11) wrong++;
        if (!kms_keyring_alias(ring, kms_bytes_text("alias/a"), found)) wrong++;
        if (kms_keyring_aliases_of(ring, &one, found, 4) > 1) wrong++;
    }
    return (void *)wrong;
}

static void many_readers_one_writer(void)
{
    KMS_OWN(kms_keyring) ring = ring_new();
    put(ring, 1, 1);
    put_alias(ring, "alias/a", 1, false);
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_on, ring), 0);
    for (unsigned i = 0; i < CHANGES; i++) {
        put(ring, 1, i % 3 + 1);
        put(ring, 100 + i, 1); /* the tables grow meanwhile */
        put_alias(ring, "alias/a", i % 2 + 1, i % 5 == 0);
    }
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CU_ASSERT_PTR_NULL(wrong);
    }
    CU_ASSERT(counts(ring, CHANGES + 1, 1));
}

/* What a commit is followed by: keys that are there already, and as many new ones and burials as may be
 * reserved at once. */
static void after_a_reservation(void)
{
    enum { KEYS = 4 * KMS_KEYRING_CHANGES };
    static struct kms_key *made[KEYS];
    KMS_OWN(kms_keyring) ring = ring_new();
    unsigned failed = 0;
    for (unsigned i = 0; i < KEYS; i++) made[i] = key_of(i, 1);
    for (unsigned begin = 0; begin < KEYS; begin += KMS_KEYRING_CHANGES) {
        for (unsigned i = begin; i < begin + KMS_KEYRING_CHANGES; i++) {
            KMS_ASSERT_OK_FATAL(kms_keyring_reserve(ring, &made[i]->id));
            KMS_ASSERT_OK_FATAL(kms_keyring_reserve_grave(ring, &made[i]->id));
        }
        faults_arm(FAULT_MEMORY, 1);
        for (unsigned i = begin; i < begin + KMS_KEYRING_CHANGES; i++) {
            failed += kms_failed(kms_keyring_put(ring, made[i])) + kms_failed(kms_keyring_put(ring, made[i]));
            failed += kms_failed(kms_keyring_reserve(ring, &made[i]->id)); /* it is there */
            if (i % 2 == 0) failed += kms_failed(kms_keyring_bury(ring, made[i]));
            if (i % 2 == 0) failed += kms_failed(kms_keyring_reserve_grave(ring, &made[i]->id));
        }
        faults_arm(FAULT_MEMORY, 0);
    }
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(counts(ring, KEYS / 2, 0));
    for (unsigned i = 0; i < KEYS; i++) kms_key_unref(made[i]);
}

static void out_of_memory(void)
{
    KMS_OWN_KEY key = key_of(1, 1);
    struct kms_alias alias = alias_of("alias/a", 1, false);
    FAULTS_EACH_OF (FAULT_MEMORY) {
        kms_keyring *ring = NULL;
        kms_err err = kms_keyring_new(&ring);
        if (!kms_failed(err)) err = kms_keyring_put(ring, key);
        if (!kms_failed(err)) err = kms_keyring_put_alias(ring, &alias);
        bool hit = faults_hit();
        faults_pause();
        CU_ASSERT_EQUAL(err.code, hit ? KMS_E_NO_MEMORY : KMS_E_OK);
        struct kms_alias found;
        if (ring != NULL) CU_ASSERT_EQUAL(kms_keyring_alias(ring, kms_bytes_text("alias/a"), &found), !hit);
        kms_keyring_free(ring);
    }
}

KMS_TEST_MAIN("keys/keyring", {"keys", keys}, {"aliases", aliases},
              {"aliases from a name on", aliases_from_a_name_on}, {"in pieces", in_pieces},
              {"tombstones", tombstones}, {"many readers, one writer", many_readers_one_writer},
              {"after a reservation", after_a_reservation}, {"out of memory", out_of_memory})
