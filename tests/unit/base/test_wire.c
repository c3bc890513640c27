/* Cursors: big-endian, bounded, and a cursor that ran out stays so. */
#include "base/wire.h"

#include "tests/harness/suite.h"

static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c,
                                   0x0d, 0x0e, 0x0f, 'r',  'a',  'w',  0,    0,    0,    2,    'h',  'i'};

static void write_all(struct kms_writer *w)
{
    kms_put_u8(w, 0x01);
    kms_put_u16(w, 0x0203);
    kms_put_u32(w, 0x04050607);
    kms_put_u64(w, 0x08090a0b0c0d0e0f);
    kms_put_raw(w, "raw", 3);
    kms_put_blob(w, kms_bytes_text("hi"));
}

static void big_endian_both_ways(void)
{
    uint8_t memory[sizeof expected], raw[3];
    struct kms_writer w = kms_writer_over(memory, sizeof memory);
    write_all(&w);
    CU_ASSERT(!w.overflow && w.at == w.end);
    CU_ASSERT_EQUAL(memcmp(memory, expected, sizeof expected), 0);
    struct kms_reader r = kms_reader_over(kms_bytes_of(memory, sizeof memory));
    CU_ASSERT_EQUAL(kms_get_u8(&r), 0x01);
    CU_ASSERT_EQUAL(kms_get_u16(&r), 0x0203);
    CU_ASSERT_EQUAL(kms_get_u32(&r), 0x04050607);
    CU_ASSERT_EQUAL(kms_get_u64(&r), 0x08090a0b0c0d0e0f);
    CU_ASSERT(kms_get_raw(&r, raw, 3) && memcmp(raw, "raw", 3) == 0);
    CU_ASSERT_FALSE(kms_reader_done(&r));
    CU_ASSERT(kms_bytes_equal(kms_get_blob(&r), kms_bytes_text("hi")));
    CU_ASSERT(kms_reader_done(&r));
}

static void every_short_room_overflows(void)
{
    for (size_t cap = 0; cap < sizeof expected; cap++) {
        uint8_t memory[sizeof expected + 1];
        memset(memory, 0xee, sizeof memory);
        struct kms_writer w = kms_writer_over(memory, cap);
        write_all(&w);
        CU_ASSERT(w.overflow);
        CU_ASSERT_EQUAL(memory[cap], 0xee); /* not one byte beyond */
    }
}

static void every_short_input_is_remembered(void)
{
    for (size_t len = 0; len < sizeof expected; len++) {
        uint8_t raw[3];
        struct kms_reader r = kms_reader_over(kms_bytes_of(expected, len));
        kms_get_u8(&r), kms_get_u16(&r), kms_get_u32(&r), kms_get_u64(&r);
        bool had_raw = kms_get_raw(&r, raw, 3);
        CU_ASSERT(had_raw || memcmp(raw, "\0\0\0", 3) == 0);
        struct kms_bytes blob = kms_get_blob(&r);
        CU_ASSERT(r.short_ && blob.len == 0 && !kms_reader_done(&r));
        CU_ASSERT_EQUAL(kms_get_u64(&r), 0); /* nothing after it either */
    }
}

static void lengths_that_lie(void)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 'a'};
    struct kms_reader r = kms_reader_over(kms_bytes_of(huge, sizeof huge));
    CU_ASSERT_EQUAL(kms_get_blob(&r).len, 0);
    CU_ASSERT(r.short_);
    r = kms_reader_over(kms_bytes_of(huge, sizeof huge));
    CU_ASSERT_EQUAL(kms_get_view(&r, SIZE_MAX).len, 0);
    CU_ASSERT(r.short_);
}

static void empty_input(void)
{
    struct kms_reader r = kms_reader_over(kms_bytes_of(NULL, 0));
    CU_ASSERT(kms_reader_done(&r));
    CU_ASSERT_EQUAL(kms_get_view(&r, 0).len, 0);
    CU_ASSERT(kms_reader_done(&r));
    struct kms_writer w = kms_writer_over(NULL, 0);
    kms_put_raw(&w, NULL, 0);
    CU_ASSERT_FALSE(w.overflow);
}

KMS_TEST_MAIN("base/wire", {"big-endian both ways", big_endian_both_ways},
              {"every short room overflows", every_short_room_overflows},
              {"every short input is remembered", every_short_input_is_remembered},
              {"lengths that lie", lengths_that_lie}, {"empty input", empty_input})
