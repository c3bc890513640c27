/* What is due by the keys alone: budgets that run low, material whose time is over. */
#include "kmsd/jobs/jobs.h"
#include "tests/unit/kmsd/keys/world.h"

enum { NOW_US = 1000, MOST = 8 };

static kms_keyring *keys;

static void put(unsigned number, enum kms_key_origin origin, enum kms_key_state state, bool low)
{
    KMS_OWN_KEY key = key_at(KMS_LEVEL_HSM, number, 1);
    key->origin = (uint8_t)origin;
    key->state = (uint8_t)state;
    atomic_store(&key->versions[0].budget->low, low);
    KMS_ASSERT_OK_FATAL(kms_keyring_put(keys, key));
}

/* Imported keys are not rotated: their owner brings other material. */
static void only_what_can_rotate_does_so_for_its_budget(void)
{
    struct kms_due due[MOST];
    const struct kms_id third = id_of(3);
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&keys));
    put(1, KMS_ORIGIN_KMS, KMS_STATE_ENABLED, false);
    put(2, KMS_ORIGIN_KMS, KMS_STATE_DISABLED, true);
    put(3, KMS_ORIGIN_KMS, KMS_STATE_ENABLED, true);
    put(4, KMS_ORIGIN_EXTERNAL, KMS_STATE_ENABLED, true);
    CU_ASSERT_EQUAL_FATAL(kms_due_find(keys, NOW_US, false, due, MOST), 1);
    CU_ASSERT_EQUAL(due[0].what, KMS_INTERNAL_ROTATE_FOR_BUDGET);
    CU_ASSERT_TRUE(kms_id_equal(&due[0].key_id, &third));
    kms_keyring_free(keys);
}

/* More keys than are looked at with the keyring held once. */
static void among_many(void)
{
    enum { MANY = 20000, DUE = 7 };
    struct kms_due due[MOST];
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&keys));
    for (unsigned i = 0; i < MANY; i++) {
        KMS_OWN_KEY key = key_of(i, 1);
        key->origin = KMS_ORIGIN_EXTERNAL;
        key->versions[0].expires_us = i % (MANY / DUE) == 1 ? NOW_US : NOW_US + 1;
        KMS_ASSERT_OK_FATAL(kms_keyring_put(keys, key));
    }
    CU_ASSERT_EQUAL(kms_due_find(keys, NOW_US, false, due, MOST), DUE);
    kms_keyring_free(keys);
}

static void material_is_due_at_its_time(void)
{
    struct kms_due due[MOST];
    KMS_ASSERT_OK_FATAL(kms_keyring_new(&keys));
    for (unsigned i = 0; i < 3; i++) {
        KMS_OWN_KEY key = key_of(1 + i, 1);
        key->origin = i == 2 ? KMS_ORIGIN_KMS : KMS_ORIGIN_EXTERNAL;
        key->versions[0].expires_us = i == 0 ? NOW_US : NOW_US + (i == 1);
        KMS_ASSERT_OK_FATAL(kms_keyring_put(keys, key));
    }
    const struct kms_id first = id_of(1);
    CU_ASSERT_EQUAL(kms_due_find(keys, NOW_US - 1, false, due, MOST), 0);
    CU_ASSERT_EQUAL_FATAL(kms_due_find(keys, NOW_US, false, due, MOST), 1);
    CU_ASSERT_TRUE(due[0].what == KMS_INTERNAL_EXPIRE_MATERIAL && kms_id_equal(&due[0].key_id, &first));
    CU_ASSERT_EQUAL(kms_due_find(keys, NOW_US, true, due, MOST), 0); /* not by a clock that is doubted */
    CU_ASSERT_EQUAL(kms_due_find(keys, NOW_US + 1, false, due, MOST), 2);
    CU_ASSERT_EQUAL(kms_due_find(keys, NOW_US + 1, false, due, 1), 1);
    kms_keyring_free(keys);
}

KMS_TEST_MAIN("kmsd/jobs/due",
              {"only what can rotate does so for its budget", only_what_can_rotate_does_so_for_its_budget},
              {"among many", among_many}, {"material is due at its time", material_is_due_at_its_time})
