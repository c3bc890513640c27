/* The pool: aligned, zeroed, given back at once. */
#include "kmsd/policy/pool.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void allocates(void)
{
    struct kms_pool pool = {NULL};
    for (size_t size = 0; size < 3000; size += 7) {
        uint8_t *at = kms_pool_alloc(&pool, size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        CU_ASSERT_EQUAL((uintptr_t)at % 8, 0);
        for (size_t i = 0; i < size; i++) CU_ASSERT_EQUAL_FATAL(at[i], 0);
        memset(at, 0xff, size);
    }
    CU_ASSERT_PTR_NULL(kms_pool_alloc(&pool, SIZE_MAX));
    kms_pool_free(&pool);
    kms_pool_free(&pool);
}

static void fails(void)
{
    FAULTS_EACH_OF (FAULT_MEMORY) {
        struct kms_pool pool = {NULL};
        struct kms_bytes copy = {NULL, 0};
        kms_err err = kms_pool_copy(&pool, kms_bytes_text("words"), &copy);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        CU_ASSERT_EQUAL(copy.len, faults_hit() ? 0 : 5);
        kms_pool_free(&pool);
    }
}

KMS_TEST_MAIN("policy pool", {"memory is zeroed and aligned", allocates}, {"no memory is an error", fails})
