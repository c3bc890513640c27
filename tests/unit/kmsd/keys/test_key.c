/* Keys: copies share budgets, references, and what is left of a budget. */
#include "kmsd/keys/key.h"

#include <pthread.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static void copies_share_budgets(void)
{
    KMS_OWN_KEY key = key_at(KMS_LEVEL_HSM, 1, 2);
    KMS_OWN_KEY copy = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_copy(key, 1, &copy));
    CU_ASSERT_EQUAL(copy->version_count, 3);
    CU_ASSERT(kms_id_equal(&copy->id, &key->id));
    CU_ASSERT_STRING_EQUAL(copy->id_text, key->id_text);
    CU_ASSERT_STRING_EQUAL(kms_key_description(copy), "for tests");
    CU_ASSERT_STRING_EQUAL(copy->creator, "admin");
    CU_ASSERT_PTR_EQUAL(copy->policy, key->policy);
    CU_ASSERT(copy->spec == key->spec && copy->usage == key->usage && copy->level == key->level &&
              copy->state == KMS_STATE_ENABLED);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_PTR_EQUAL(copy->versions[i].budget, key->versions[i].budget);
        CU_ASSERT(kms_bytes_equal(copy->versions[i].wrapped, key->versions[i].wrapped));
        CU_ASSERT_PTR_NOT_EQUAL(copy->versions[i].wrapped.ptr, key->versions[i].wrapped.ptr);
        CU_ASSERT_EQUAL(copy->versions[i].created_us, key->versions[i].created_us);
    }
    CU_ASSERT_EQUAL(copy->versions[2].version, 3);
    CU_ASSERT_PTR_NULL(copy->versions[2].wrapped.ptr);
    atomic_store(&key->versions[0].budget->left, 1);
    CU_ASSERT(kms_budget_take(copy->versions[0].budget));
    CU_ASSERT_FALSE(kms_budget_take(key->versions[0].budget));
    kms_key_unref(key); /* the copy stands alone */
    key = NULL;
    CU_ASSERT(kms_bytes_equal(copy->versions[1].wrapped, kms_bytes_text("wrapped 1/2")));
    atomic_store(&copy->versions[1].budget->left, 1);
    CU_ASSERT(kms_budget_take(copy->versions[1].budget));
}

/* Nothing counts the encryptions of SOFTWARE level, whose messages have keys of their own. */
static void no_budget_where_there_is_no_limit(void)
{
    KMS_OWN_KEY key = key_of(1, 1);
    KMS_OWN_KEY copy = NULL;
    KMS_ASSERT_OK_FATAL(kms_key_copy(key, 1, &copy));
    CU_ASSERT_PTR_NULL(key->versions[0].budget);
    CU_ASSERT(copy->level == KMS_LEVEL_SOFTWARE && copy->versions[1].budget == NULL);
}

static void marks_and_texts_are_copied(void)
{
    static const uint8_t mark[KMS_HSM_MARK_BYTES] = {1, 2, 3}, other[KMS_HSM_MARK_BYTES] = {4};
    KMS_OWN_KEY key = key_of(1, 2);
    KMS_OWN_KEY copy = NULL;
    KMS_ASSERT_OK_FATAL(kms_version_set_mark(&key->versions[1], other));
    KMS_ASSERT_OK_FATAL(kms_version_set_mark(&key->versions[1], mark));
    key->versions[1].cause = KMS_CAUSE_IMPORT;
    KMS_ASSERT_OK_FATAL(kms_key_set_description(key, ""));
    CU_ASSERT_STRING_EQUAL(kms_key_description(key), "");
    KMS_ASSERT_OK_FATAL(kms_key_copy(key, 0, &copy));
    CU_ASSERT_STRING_EQUAL(kms_key_description(copy), "");
    CU_ASSERT_PTR_NULL(copy->versions[0].mark);
    CU_ASSERT_PTR_NOT_EQUAL(copy->versions[1].mark, key->versions[1].mark);
    CU_ASSERT_EQUAL(memcmp(copy->versions[1].mark, mark, sizeof mark), 0);
    CU_ASSERT(copy->versions[1].cause == KMS_CAUSE_IMPORT && copy->versions[1].version == 2);
    KMS_ASSERT_OK_FATAL(kms_key_set_description(copy, "new"));
    CU_ASSERT_STRING_EQUAL(kms_key_description(copy), "new");
    CU_ASSERT_STRING_EQUAL(kms_key_description(key), "");
}

static void references(void)
{
    struct kms_key *key = key_of(1, 1);
    CU_ASSERT_PTR_EQUAL(kms_key_ref(key), key);
    kms_key_unref(key);
    CU_ASSERT_STRING_EQUAL(key->creator, "admin");
    kms_key_unref(key);
    kms_key_unref(NULL);
}

static void versions(void)
{
    KMS_OWN_KEY key = key_of(1, 3);
    CU_ASSERT_PTR_NULL(kms_key_version_find(key, 0));
    CU_ASSERT_PTR_NULL(kms_key_version_find(key, 4));
    CU_ASSERT_PTR_NULL(kms_key_version_find(key, UINT32_MAX));
    CU_ASSERT_PTR_EQUAL(kms_key_version_find(key, 2), &key->versions[1]);
    CU_ASSERT_PTR_EQUAL(kms_key_current(key), &key->versions[2]);
    struct kms_hsm_key job = kms_key_for_hsm(key, &key->versions[1]);
    CU_ASSERT(kms_id_equal(&job.ref.key_id, &key->id) && job.ref.version == 2);
    CU_ASSERT(job.ref.spec == key->spec && job.ref.usage == key->usage && job.ref.level == key->level);
    CU_ASSERT_PTR_EQUAL(job.wrapped.ptr, key->versions[1].wrapped.ptr);
}

static void budget(void)
{
    KMS_OWN_KEY key = key_at(KMS_LEVEL_HSM, 1, 1);
    struct kms_budget *b = key->versions[0].budget;
    CU_ASSERT_FALSE(kms_budget_take(b)); /* nothing is reserved to begin with */
    atomic_store(&b->left, 3);
    for (int i = 0; i < 3; i++) CU_ASSERT(kms_budget_take(b));
    for (int i = 0; i < 3; i++) CU_ASSERT_FALSE(kms_budget_take(b));
    CU_ASSERT(atomic_load(&b->left) <= 0);
    long long low = 1LL << (KMS_BUDGET_BLOCK_LOG2 - 2);
    atomic_store(&b->left, low + 1);
    CU_ASSERT_FALSE(kms_budget_claim_refill(b));
    atomic_store(&b->left, low);
    CU_ASSERT(kms_budget_claim_refill(b));
    CU_ASSERT_FALSE(kms_budget_claim_refill(b)); /* somebody is at it */
    atomic_store(&b->reserving, false);
    CU_ASSERT(kms_budget_claim_refill(b));
}

enum { THREADS = 4, LEFT = 5000 };

static void *spend(void *budget)
{
    uintptr_t taken = 0;
    for (int i = 0; i < LEFT; i++) taken += kms_budget_take(budget);
    return (void *)taken;
}

static void no_encryption_is_given_twice(void)
{
    KMS_OWN_KEY key = key_at(KMS_LEVEL_HSM, 1, 1);
    pthread_t threads[THREADS];
    uintptr_t taken = 0;
    atomic_store(&key->versions[0].budget->left, LEFT);
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, spend, key->versions[0].budget), 0);
    for (int i = 0; i < THREADS; i++) {
        void *part;
        pthread_join(threads[i], &part);
        taken += (uintptr_t)part;
    }
    CU_ASSERT_EQUAL(taken, LEFT);
}

static void out_of_memory(void)
{
    static const uint8_t mark[KMS_HSM_MARK_BYTES] = {7};
    KMS_OWN_KEY key = key_at(KMS_LEVEL_HSM, 1, 3);
    KMS_ASSERT_OK_FATAL(kms_version_set_mark(&key->versions[1], mark));
    FAULTS_EACH_OF (FAULT_MEMORY) {
        struct kms_key *copy = NULL;
        kms_err err = kms_key_copy(key, 1, &copy);
        CU_ASSERT_EQUAL(err.code, faults_hit() ? KMS_E_NO_MEMORY : KMS_E_OK);
        CU_ASSERT_EQUAL(copy == NULL, faults_hit());
        kms_key_unref(copy);
    }
}

KMS_TEST_MAIN("keys/key", {"copies share budgets", copies_share_budgets},
              {"no budget where there is no limit", no_budget_where_there_is_no_limit},
              {"marks and texts are copied", marks_and_texts_are_copied}, {"references", references},
              {"versions", versions}, {"budget", budget},
              {"no encryption is given twice", no_encryption_is_given_twice},
              {"out of memory", out_of_memory})
