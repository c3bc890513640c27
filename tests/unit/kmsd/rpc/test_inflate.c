/* Streams that zlib made, and what else may come under their name. */
#include "kmsd/rpc/inflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/secret.h"
#include "tests/harness/suite.h"

enum { MOST = 256 * 1024, ROOM = 1 << 20 };

static uint8_t packed[ROOM], plain[ROOM];
static struct kms_why why;

static int bits(enum kms_packing packing)
{
    return packing == KMS_PACKED_GZIP ? 31 : 15;
}

static struct kms_bytes pack(enum kms_packing packing, struct kms_bytes data, int level)
{
    z_stream stream = {0};
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&stream, level, Z_DEFLATED, bits(packing), 8, Z_DEFAULT_STRATEGY),
                          Z_OK);
    stream.next_in = (z_const Bytef *)(uintptr_t)data.ptr;
    stream.avail_in = (uInt)data.len;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    CU_ASSERT_EQUAL_FATAL(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return kms_bytes_of(packed, stream.total_out);
}

static struct kms_bytes some(size_t len)
{
    uint32_t state = 1;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        plain[i] = (uint8_t)(state >> 24 & 15);
    }
    return kms_bytes_of(plain, len);
}

static void check_same(enum kms_packing packing, size_t len, int level)
{
    struct kms_inflated out = {0};
    struct kms_bytes data = some(len), stream = pack(packing, data, level);
    KMS_ASSERT_OK_FATAL(kms_inflate(packing, stream, MOST, &out, &why));
    CU_ASSERT_TRUE(kms_bytes_equal(kms_bytes_of(out.room, out.len), data));
    CU_ASSERT_TRUE(out.room_len <= MOST + 1);
    kms_inflated_free(&out);
    CU_ASSERT_PTR_NULL(out.room);
}

static void test_what_went_in_comes_out(void)
{
    static const size_t lens[] = {0, 1, 100, 16383, 16384, 16385, 65536, 100000, MOST - 1, MOST};
    for (size_t i = 0; i < KMS_COUNT(lens); i++)
        for (int level = 0; level <= 9; level += 3) {
            check_same(KMS_PACKED_GZIP, lens[i], level);
            check_same(KMS_PACKED_DEFLATE, lens[i], level);
        }
}

static void check_refused(enum kms_packing packing, struct kms_bytes stream, size_t most, enum kms_code code,
                          const char *words)
{
    struct kms_inflated out = {.len = 77};
    why.text[0] = '\0';
    kms_err err = kms_inflate(packing, stream, most, &out, &why);
    CU_ASSERT_EQUAL(err.code, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    CU_ASSERT_EQUAL(out.len, 77);
}

static void test_no_byte_too_many(void)
{
    static const size_t mosts[] = {0, 1, 16383, 16384, 65536, MOST};
    for (size_t i = 0; i < KMS_COUNT(mosts); i++) {
        struct kms_inflated out = {0};
        struct kms_bytes stream = pack(KMS_PACKED_GZIP, some(mosts[i]), 6);
        KMS_ASSERT_OK_FATAL(kms_inflate(KMS_PACKED_GZIP, stream, mosts[i], &out, &why));
        CU_ASSERT_EQUAL(out.len, mosts[i]);
        kms_inflated_free(&out);
        stream = pack(KMS_PACKED_GZIP, some(mosts[i] + 1), 6);
        check_refused(KMS_PACKED_GZIP, stream, mosts[i], KMS_E_LIMIT_EXCEEDED, "more than");
    }
}

/* The pool keeps what it has mapped: a thousandfold more cannot hide in it. */
static void test_a_bomb(void)
{
    uint8_t *zeros = calloc(1, 64 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(zeros);
    struct kms_bytes bomb = pack(KMS_PACKED_GZIP, kms_bytes_of(zeros, 64 << 20), 9);
    free(zeros);
    CU_ASSERT_TRUE(bomb.len < MOST / 2);
    size_t before = kms_locked_used();
    check_refused(KMS_PACKED_GZIP, bomb, MOST, KMS_E_LIMIT_EXCEEDED, "more than 262144 bytes");
    CU_ASSERT_TRUE(kms_locked_used() - before < 2 * MOST);
}

static void test_damage(void)
{
    struct kms_bytes stream = pack(KMS_PACKED_GZIP, some(300), 9);
    for (size_t len = 0; len < stream.len; len++)
        check_refused(KMS_PACKED_GZIP, kms_bytes_of(packed, len), MOST, KMS_E_BAD_COMPRESSION,
                      "the end of it is missing");
    packed[stream.len] = 0;
    check_refused(KMS_PACKED_GZIP, kms_bytes_of(packed, stream.len + 1), MOST, KMS_E_BAD_COMPRESSION,
                  "behind its end");
    kms_copy(packed + stream.len, packed, stream.len); /* gzip may be several; a message is one */
    check_refused(KMS_PACKED_GZIP, kms_bytes_of(packed, 2 * stream.len), MOST, KMS_E_BAD_COMPRESSION,
                  "behind its end");
    packed[stream.len - 5] ^= 1; /* of the checksum */
    check_refused(KMS_PACKED_GZIP, stream, MOST, KMS_E_BAD_COMPRESSION, "is not");
    stream = pack(KMS_PACKED_DEFLATE, some(300), 9);
    check_refused(KMS_PACKED_GZIP, stream, MOST, KMS_E_BAD_COMPRESSION, "is not");
    packed[1] = 0xf9; /* asks for a dictionary */
    check_refused(KMS_PACKED_DEFLATE, stream, MOST, KMS_E_BAD_COMPRESSION, "is not");
    check_refused(KMS_PACKED_DEFLATE, pack(KMS_PACKED_GZIP, some(300), 9), MOST, KMS_E_BAD_COMPRESSION,
                  "is not");
    check_refused(KMS_PACKED_GZIP, some(300), MOST, KMS_E_BAD_COMPRESSION, "is not");
}

/* One bit wrong anywhere: refused, or without a difference (the header leaves some open, and the last byte
 * of the data has spare ones). */
static void test_every_bit(void)
{
    uint8_t copy[512];
    struct kms_bytes data = some(200), stream = pack(KMS_PACKED_GZIP, data, 9);
    CU_ASSERT_FATAL(stream.len <= sizeof copy);
    for (size_t bit = 0; bit < stream.len * 8; bit++) {
        struct kms_inflated out = {0};
        kms_copy(copy, packed, stream.len);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        kms_err err = kms_inflate(KMS_PACKED_GZIP, kms_bytes_of(copy, stream.len), MOST, &out, &why);
        if (!kms_failed(err))
            CU_ASSERT_TRUE(kms_bytes_equal(kms_bytes_of(out.room, out.len), data))
        else
            CU_ASSERT_EQUAL(err.code, KMS_E_BAD_COMPRESSION);
        kms_inflated_free(&out);
    }
}

/* First of all, while nothing is mapped. */
static void test_no_memory(void)
{
    struct kms_bytes stream = pack(KMS_PACKED_GZIP, some(MOST), 6);
    for (size_t limit = 1; limit < 440000; limit += 60000) {
        kms_locked_limit(limit);
        check_refused(KMS_PACKED_GZIP, stream, MOST, KMS_E_NO_MEMORY, "");
    }
    kms_locked_limit(0);
    struct kms_inflated out = {0};
    KMS_ASSERT_OK_FATAL(kms_inflate(KMS_PACKED_GZIP, stream, MOST, &out, &why));
    kms_inflated_free(&out);
    check_refused(KMS_PACKED_GZIP, stream, KMS_LOCKED_MAX_BYTES, KMS_E_LIMIT_EXCEEDED, "");
}

KMS_TEST_MAIN("compressed requests", {"no memory", test_no_memory},
              {"what went in comes out", test_what_went_in_comes_out},
              {"no byte too many", test_no_byte_too_many}, {"a bomb", test_a_bomb}, {"damage", test_damage},
              {"every bit", test_every_bit})
