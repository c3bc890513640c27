/* The table of ids: against a plain list, through growth and removal, where searches collide. */
#include "kmsd/keys/id_table.h"

#include <string.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

enum { ENTRIES = 300 };

struct thing {
    unsigned number;
    struct kms_id id;
};
static struct thing things[ENTRIES];

/* Few different beginnings of the search, since the halves cancel each other out. */
static void name_things(bool alike)
{
    memset(things, 0, sizeof things);
    for (unsigned i = 0; i < ENTRIES; i++) {
        things[i].number = i;
        things[i].id.bytes[0] = things[i].id.bytes[8] = (uint8_t)i;
        things[i].id.bytes[1] = (uint8_t)(i >> 8);
        things[i].id.bytes[9] = alike ? (uint8_t)(i >> 8) : 7;
    }
}

static bool finds(const struct kms_id_table *table, unsigned i, bool there)
{
    const struct thing *found = KMS_ID_ENTRY(kms_id_table_find(table, &things[i].id), struct thing, id);
    return there ? found == &things[i] : found == NULL;
}

static void put(struct kms_id_table *table, unsigned i)
{
    struct kms_id *old = &things[0].id;
    KMS_ASSERT_OK_FATAL(kms_id_table_put(table, &things[i].id, &old));
    CU_ASSERT_PTR_NULL(old);
}

static void in_and_out(bool alike)
{
    struct kms_id_table table = {0};
    unsigned wrong = 0;
    name_things(alike);
    for (unsigned i = 0; i < ENTRIES; i++) {
        wrong += !finds(&table, i, false) || kms_id_table_take(&table, &things[i].id) != NULL;
        put(&table, i);
    }
    CU_ASSERT(table.used == ENTRIES && table.used < table.size);
    for (unsigned i = 0; i < ENTRIES; i++) wrong += !finds(&table, i, true);
    for (unsigned i = 0; i < ENTRIES; i += 3) {
        wrong += kms_id_table_take(&table, &things[i].id) != &things[i].id;
        for (unsigned k = 0; k < ENTRIES; k++) wrong += !finds(&table, k, k > i || k % 3 != 0);
    }
    CU_ASSERT_EQUAL(table.used, ENTRIES - ENTRIES / 3);
    for (unsigned i = 0; i < ENTRIES; i += 3) put(&table, i);
    for (unsigned i = 0; i < ENTRIES; i++) wrong += !finds(&table, i, true);
    CU_ASSERT_EQUAL(wrong, 0);
    kms_id_table_free(&table);
    CU_ASSERT(finds(&table, 0, false));
}

static void spread(void)
{
    in_and_out(false);
}

static void all_in_one_place(void)
{
    in_and_out(true);
}

static void one_in_the_place_of_another(void)
{
    struct kms_id_table table = {0};
    struct thing newer = {.number = 1000};
    struct kms_id *old = NULL;
    name_things(false);
    put(&table, 5);
    newer.id = things[5].id;
    KMS_ASSERT_OK_FATAL(kms_id_table_put(&table, &newer.id, &old));
    CU_ASSERT_PTR_EQUAL(old, &things[5].id);
    CU_ASSERT_EQUAL(table.used, 1);
    CU_ASSERT_EQUAL(KMS_ID_ENTRY(kms_id_table_find(&table, &newer.id), struct thing, id)->number, 1000);
    kms_id_table_free(&table);
}

/* Full up to where it grows: what is in it is exchanged all the same, and nothing new is put. */
static void no_memory_for_one_that_is_there(void)
{
    enum { LIMIT = 12 };
    struct kms_id_table table = {0};
    struct thing newer = {.number = 1000}, other = {.number = 1001};
    struct kms_id *old = NULL;
    name_things(false);
    for (unsigned i = 0; i < LIMIT; i++) put(&table, i);
    newer.id = things[5].id;
    other.id = things[LIMIT].id;
    const size_t size = table.size;
    faults_arm(FAULT_MEMORY, 1);
    kms_err exchanged = kms_id_table_put(&table, &newer.id, &old);
    kms_err reserved_none = kms_id_table_reserve(&table, 0);
    CU_ASSERT_FALSE(faults_hit());
    kms_err put_new = kms_id_table_put(&table, &other.id, &old);
    bool asked = faults_hit();
    faults_arm(FAULT_MEMORY, 0);
    KMS_ASSERT_OK(exchanged);
    KMS_ASSERT_OK(reserved_none);
    KMS_ASSERT_CODE(put_new, NO_MEMORY);
    CU_ASSERT(asked && table.size == size && table.used == LIMIT);
    CU_ASSERT_PTR_EQUAL(kms_id_table_find(&table, &newer.id), &newer.id);
    CU_ASSERT(finds(&table, LIMIT, false));
    kms_id_table_free(&table);
}

static void room_that_is_reserved(void)
{
    enum { MORE = 100 };
    struct kms_id_table table = {0};
    struct kms_id *old = NULL;
    name_things(false);
    faults_arm(FAULT_MEMORY, 2);
    kms_err refused = kms_id_table_reserve(&table, MORE);
    faults_arm(FAULT_MEMORY, 0);
    KMS_ASSERT_CODE(refused, NO_MEMORY);
    CU_ASSERT_EQUAL(table.size, 0);
    for (unsigned begin = 0; begin + MORE <= ENTRIES; begin += MORE) {
        unsigned in = begin;
        KMS_ASSERT_OK_FATAL(kms_id_table_reserve(&table, MORE));
        faults_arm(FAULT_MEMORY, 1);
        while (in < begin + MORE && !kms_failed(kms_id_table_put(&table, &things[in].id, &old))) in++;
        faults_arm(FAULT_MEMORY, 0);
        CU_ASSERT_EQUAL(in, begin + MORE);
        for (unsigned i = 0; i < ENTRIES; i++) CU_ASSERT(finds(&table, i, i < in));
    }
    kms_id_table_free(&table);
}

static void out_of_memory(void)
{
    name_things(false);
    FAULTS_EACH_OF (FAULT_MEMORY) {
        struct kms_id_table table = {0};
        struct kms_id *old;
        unsigned in = 0;
        while (in < 40 && !kms_failed(kms_id_table_put(&table, &things[in].id, &old))) in++;
        CU_ASSERT(in == 40 || faults_hit());
        CU_ASSERT_EQUAL(table.used, in);
        for (unsigned i = 0; i < 41; i++) CU_ASSERT(finds(&table, i, i < in));
        kms_id_table_free(&table);
    }
}

KMS_TEST_MAIN("keys/id table", {"spread", spread}, {"all in one place", all_in_one_place},
              {"one in the place of another", one_in_the_place_of_another},
              {"no memory for one that is there", no_memory_for_one_that_is_there},
              {"room that is reserved", room_that_is_reserved}, {"out of memory", out_of_memory})
