/* Texts that are kept once. */
#include "kmsd/keys/texts.h"

#include "tests/harness/faults.h"
#include "tests/unit/kmsd/keys/world.h"

static void once_and_until_given_back(void)
{
    struct kms_texts texts = {NULL};
    char name[] = "app";
    const char *one = kms_texts_take(&texts, name), *two = kms_texts_take(&texts, "other");
    CU_ASSERT_PTR_NOT_EQUAL(one, name); /* a copy */
    CU_ASSERT_PTR_EQUAL(kms_texts_take(&texts, "app"), one);
    CU_ASSERT_PTR_NOT_EQUAL(one, two);
    CU_ASSERT_EQUAL(kms_texts_count(&texts), 2);
    kms_texts_give(&texts, one);
    CU_ASSERT_STRING_EQUAL(one, "app");
    kms_texts_give(&texts, one);
    kms_texts_give(&texts, two);
    CU_ASSERT_EQUAL(kms_texts_count(&texts), 0);
    CU_ASSERT_PTR_NULL(texts.all);
}

static void out_of_memory(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        struct kms_texts texts = {NULL};
        const char *one = kms_texts_take(&texts, "app");
        CU_ASSERT_EQUAL(one == NULL, faults_hit());
        if (one != NULL) kms_texts_give(&texts, one);
        CU_ASSERT_EQUAL(kms_texts_count(&texts), 0);
    }
}

KMS_TEST_MAIN("keys/texts", {"once and until given back", once_and_until_given_back},
              {"out of memory", out_of_memory})
