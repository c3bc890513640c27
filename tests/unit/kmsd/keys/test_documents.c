/* Documents that keys share: one for each text, and none that no key has. */
#include "kmsd/keys/documents.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static kms_policy *policy_for(kms_documents *documents, unsigned number)
{
    char json[300];
    kms_policy *policy = NULL;
    snprintf(json, sizeof json,
             "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"app-%u\"},"
             "\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}]}",
             number);
    KMS_ASSERT_OK_FATAL(kms_documents_policy(documents, json, &policy, NULL));
    CU_ASSERT_STRING_EQUAL(kms_policy_source(policy), json);
    return policy;
}

static void one_for_each_text(void)
{
    KMS_OWN(kms_documents) documents = documents_new();
    KMS_OWN(kms_policy) one = policy_for(documents, 1);
    KMS_OWN(kms_policy) two = policy_for(documents, 2);
    KMS_OWN(kms_policy) again = policy_for(documents, 1);
    CU_ASSERT_PTR_EQUAL(one, again);
    CU_ASSERT_PTR_NOT_EQUAL(one, two);
}

static void what_is_none_is_not_kept(void)
{
    KMS_OWN(kms_documents) documents = documents_new();
    kms_policy *policy = NULL;
    struct kms_why why = {{0}};
    for (int i = 0; i < 2; i++)
        KMS_ASSERT_CODE(kms_documents_policy(documents, "{\"Statement\":[", &policy, &why), MALFORMED_POLICY);
    CU_ASSERT_PTR_NULL(policy);
    CU_ASSERT(why.text[0] != '\0');
}

/* What is held stays the same one, however many come and go beside it. */
static void what_nobody_has_goes(void)
{
    enum { KEPT = 100, GONE = 1000 };
    KMS_OWN(kms_documents) documents = documents_new();
    kms_policy *kept[KEPT];
    for (unsigned i = 0; i < GONE; i++) kms_policy_unref(policy_for(documents, 10000 + i));
    CU_ASSERT(kms_documents_count(documents) <= 64);
    for (unsigned i = 0; i < KEPT; i++) {
        kept[i] = policy_for(documents, i);
        for (unsigned k = 0; k < GONE / KEPT; k++)
            kms_policy_unref(policy_for(documents, 20000 + i * KEPT + k));
    }
    CU_ASSERT(kms_documents_count(documents) >= KEPT && kms_documents_count(documents) <= 2 * KEPT);
    for (unsigned i = 0; i < KEPT; i++) {
        KMS_OWN(kms_policy) again = policy_for(documents, i);
        CU_ASSERT_PTR_EQUAL(again, kept[i]);
        kms_policy_unref(kept[i]);
    }
}

enum { THREADS = 4, ROUNDS = 300 };

static void *ask(void *documents)
{
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        KMS_OWN(kms_policy) first = policy_for(documents, i % 100);
        KMS_OWN(kms_policy) again = policy_for(documents, i % 100);
        wrong += first != again;
    }
    return (void *)wrong;
}

static void many_at_once(void)
{
    KMS_OWN(kms_documents) documents = documents_new();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, ask, documents), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CU_ASSERT_PTR_NULL(wrong);
    }
}

static void out_of_memory(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        KMS_OWN(kms_documents) documents = NULL;
        KMS_OWN(kms_policy) policy = NULL;
        kms_err err = kms_documents_new(&documents);
        if (!kms_failed(err)) err = kms_documents_policy(documents, WORLD_POLICY, &policy, NULL);
        CU_ASSERT_EQUAL(err.code, faults_hit() ? KMS_E_NO_MEMORY : KMS_E_OK);
        CU_ASSERT_EQUAL(policy == NULL, faults_hit());
    }
}

KMS_TEST_MAIN("keys/documents", {"one for each text", one_for_each_text},
              {"what is none is not kept", what_is_none_is_not_kept},
              {"what nobody has goes", what_nobody_has_goes}, {"many at once", many_at_once},
              {"out of memory", out_of_memory})
