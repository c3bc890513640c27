/* The memory of one call: bounded, aligned, and gone after one wipe. */
#include "base/arena.h"

#include "base/secret.h"
#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static void allocations(void)
{
    kms_arena arena;
    kms_arena_init(&arena, 256 * 1024);
    CU_ASSERT_EQUAL(arena.total, 0);
    static const size_t sizes[] = {1, 15, 16, 17, 4000, 9000, 60000, 3};
    uint8_t *blocks[KMS_COUNT(sizes)];
    for (size_t i = 0; i < KMS_COUNT(sizes); i++) {
        blocks[i] = kms_arena_alloc(&arena, sizes[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[i]);
        CU_ASSERT_EQUAL((uintptr_t)blocks[i] % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++) CU_ASSERT_FATAL(blocks[i][k] == 0);
        memset(blocks[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < KMS_COUNT(sizes); i++)
        CU_ASSERT(blocks[i][0] == i + 1 && blocks[i][sizes[i] - 1] == i + 1);
    kms_arena_wipe(&arena);
    CU_ASSERT_EQUAL(arena.total, 0);
    kms_arena_wipe(&arena);
}

static void the_limit_holds(void)
{
    kms_arena arena;
    kms_arena_init(&arena, 64 * 1024);
    size_t got = 0;
    while (got < 1000 && kms_arena_alloc(&arena, 1000) != NULL) got++;
    CU_ASSERT(got > 0 && got <= 65);
    CU_ASSERT(arena.total <= arena.limit);
    CU_ASSERT_PTR_NULL(kms_arena_alloc(&arena, SIZE_MAX));
    CU_ASSERT_PTR_NULL(kms_arena_alloc(&arena, SIZE_MAX - 8));
    kms_arena_wipe(&arena);
    CU_ASSERT_PTR_NOT_NULL(kms_arena_alloc(&arena, 1000));
    kms_arena_wipe(&arena);
}

static void copies_and_text(void)
{
    kms_arena arena;
    kms_arena_init(&arena, 64 * 1024);
    struct kms_bytes copy = kms_arena_copy(&arena, kms_bytes_text("secret"));
    CU_ASSERT(kms_bytes_equal(copy, kms_bytes_text("secret")));
    CU_ASSERT_EQUAL(kms_arena_copy(&arena, kms_bytes_of(NULL, 0)).len, 0);
    char *text = kms_arena_print(&arena, "%s-%d", "n", 7);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_STRING_EQUAL(text, "n-7");
    CU_ASSERT_PTR_NULL(kms_arena_print(&arena, "%70000d", 1));
    const uint8_t *was = copy.ptr;
    kms_arena_wipe(&arena);
    for (size_t i = 0; i < 6; i++) CU_ASSERT_EQUAL(was[i], 0); /* locked slabs stay mapped */
}

/* Arenas of one room cannot take more than it has, and give back what they took; a part has no memory of its
 * own. */
static void rooms_and_parts(void)
{
    struct kms_arena_room room = {.limit = 100 * 1024};
    kms_arena one, two, part;
    kms_arena_init(&one, 4 << 20);
    kms_arena_init(&two, 4 << 20);
    one.room = two.room = &room;
    kms_arena_init_part(&part, &one);
    CU_ASSERT_PTR_NOT_NULL(kms_arena_alloc(&part, 40 * 1024));
    CU_ASSERT(one.total > 40 * 1024 && part.total == 0 && room.used == one.total);
    CU_ASSERT_PTR_NULL(kms_arena_alloc(&two, 60 * 1024));
    CU_ASSERT_FALSE(kms_arena_charge(&two, 60 * 1024));
    CU_ASSERT(kms_arena_charge(&two, 10 * 1024) && two.total == 10 * 1024);
    CU_ASSERT_EQUAL(room.used, one.total + two.total);
    kms_arena_wipe(&part);
    CU_ASSERT(one.total > 0);
    kms_arena_wipe(&two);
    kms_arena_wipe(&one);
    CU_ASSERT_EQUAL(room.used, 0);
}

/* What is announced lies in one chunk, however large; without room for it nothing fails yet. */
static void prepared_at_once(void)
{
    kms_arena arena;
    kms_arena_init(&arena, 2 << 20);
    kms_arena_prepare(&arena, 1 << 20);
    size_t total = arena.total;
    CU_ASSERT(total >= 1 << 20 && total < (1 << 20) + 4096);
    for (int i = 0; i < 15; i++) CU_ASSERT_PTR_NOT_NULL(kms_arena_alloc(&arena, 65536));
    CU_ASSERT_EQUAL(arena.total, total);
    kms_arena_prepare(&arena, 4 << 20);
    CU_ASSERT_EQUAL(arena.total, total);
    kms_arena_wipe(&arena);
}

/* Only what was handed out is wiped, and that leaves nothing: the next who gets the block finds zeros. */
static void nothing_is_left(void)
{
    static const size_t sizes[] = {1, 100, 4000, KMS_ARENA_FIRST_BYTES - 64};
    for (size_t i = 0; i < KMS_COUNT(sizes); i++) {
        kms_arena arena;
        kms_arena_init(&arena, 64 * 1024);
        uint8_t *p = kms_arena_alloc(&arena, sizes[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        memset(p, 0xa5, sizes[i]);
        kms_arena_wipe(&arena);
        uint8_t *again = kms_locked_alloc(KMS_ARENA_FIRST_BYTES);
        CU_ASSERT_PTR_NOT_NULL_FATAL(again);
        CU_ASSERT(p > again && p < again + KMS_ARENA_FIRST_BYTES); /* the last one given back */
        for (size_t k = 0; k < KMS_ARENA_FIRST_BYTES; k++) CU_ASSERT_FATAL(again[k] == 0);
        kms_locked_free(again, KMS_ARENA_FIRST_BYTES);
    }
}

static void no_locked_memory_no_answer(void)
{
    kms_locked_limit(kms_locked_used());
    kms_arena arena;
    kms_arena_init(&arena, 4 << 20);
    size_t got = 0;
    while (got < 100 && kms_arena_alloc(&arena, 100 * 1024) != NULL) got++;
    CU_ASSERT(got < 100);
    kms_arena_wipe(&arena);
    kms_locked_limit(0);
}

KMS_TEST_MAIN("base/arena", {"allocations", allocations}, {"the limit holds", the_limit_holds},
              {"copies and text", copies_and_text}, {"rooms and parts", rooms_and_parts},
              {"prepared at once", prepared_at_once}, {"nothing is left", nothing_is_left},
              {"no locked memory, no answer", no_locked_memory_no_answer})
