/* The memory of results and of plaintext. */
#include "client/lib/store.h"

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

struct thing {
    const char *name;
    struct kms_blob blob;
    uint64_t *numbers;
};

static void a_result_owns_what_it_points_to(void)
{
    FAULTS_EACH () {
        KMS_OWN(kms_store) store = kms_store_new(sizeof(struct thing));
        struct thing *thing = store;
        if (thing != NULL) {
            uint8_t bytes[] = {1, 2, 3};
            thing->name = kms_store_text(store, "name");
            thing->blob = kms_store_blob(store, (ProtobufCBinaryData){.data = bytes, .len = 3});
            thing->numbers = kms_store_add(store, 10, sizeof(uint64_t));
        }
        kms_err err = kms_store_check(store);
        faults_pause();
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        if (!kms_failed(err)) {
            CU_ASSERT_STRING_EQUAL(thing->name, "name");
            CU_ASSERT_EQUAL(thing->blob.data[2], 3);
            CU_ASSERT_EQUAL(thing->numbers[9], 0);
        }
    }
}

static void nothing_and_too_much(void)
{
    KMS_OWN(kms_store) store = kms_store_new(1);
    CU_ASSERT_STRING_EQUAL(kms_store_text(store, NULL), "");
    CU_ASSERT_PTR_NOT_NULL(kms_store_add(store, 0, 8));
    KMS_ASSERT_OK(kms_store_check(store));
    CU_ASSERT_PTR_NULL(kms_store_add(store, SIZE_MAX / 2, 8));
    KMS_ASSERT_CODE(kms_store_check(store), NO_MEMORY);
    KMS_ASSERT_CODE(kms_store_check(NULL), NO_MEMORY);
    kms_store_free(NULL);
}

static void plaintext(void)
{
    uint8_t bytes[] = {'k', 'e', 'y'};
    kms_plaintext *p = kms_plaintext_of((ProtobufCBinaryData){.data = bytes, .len = sizeof bytes});
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(kms_plaintext_len(p), 3);
    CU_ASSERT_EQUAL(memcmp(kms_plaintext_data(p), "key", 3), 0);
    kms_plaintext_free(p);
    kms_plaintext_free(NULL);
    CU_ASSERT_PTR_NULL(kms_plaintext_of((ProtobufCBinaryData){.data = bytes, .len = 1 << 25}));
}

KMS_TEST_MAIN("client/lib/store", {"a result owns what it points to", a_result_owns_what_it_points_to},
              {"nothing and too much", nothing_and_too_much}, {"plaintext", plaintext})
