/* Names of files, and which of them count. */
#include "kmsd/audit/segment.h"

#include <stdio.h>
#include <unistd.h>

#include "kmsd/audit/encode.h"
#include "tests/unit/kmsd/audit/log.h"

static void names(void)
{
    static const struct {
        const char *name, *instance; /* NULL: none */
        uint32_t number;
    } rows[] = {
        {"a-00000001.jsonl", "a", 1},
        {"kms-1-99999999.jsonl", "kms-1", 99999999},
        {"a2345678901234567890123456789012-00000002.jsonl", "a2345678901234567890123456789012", 2},
        {"a23456789012345678901234567890123-00000002.jsonl", NULL, 0},
        {"a-00000000.jsonl", NULL, 0},
        {"-00000001.jsonl", NULL, 0},
        {"a00000001.jsonl", NULL, 0},
        {"A-00000001.jsonl", NULL, 0},
        {"a-0000001.jsonl", NULL, 0},
        {"a-0000000x.jsonl", NULL, 0},
        {"a-00000001.json", NULL, 0},
        {"a-00000001.zst", NULL, 0},
        {"a-00000001.jsonl.zst.zst", NULL, 0},
        {"a-00000001.jsonl.gz", NULL, 0},
        {"a-00000001.jsonl~", NULL, 0},
        {".a.lock", NULL, 0},
        {".a.packing", NULL, 0},
        {"", NULL, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char instance[KMS_AUDIT_INSTANCE_BYTES + 1], name[KMS_AUDIT_NAME_BYTES];
        uint32_t number;
        bool is = kms_audit_segment_parse(rows[i].name, instance, &number);
        CU_ASSERT_EQUAL(is, rows[i].instance != NULL);
        if (!is || rows[i].instance == NULL) continue;
        CU_ASSERT_STRING_EQUAL(instance, rows[i].instance);
        CU_ASSERT_EQUAL(number, rows[i].number);
        kms_audit_segment_name(instance, number, name);
        CU_ASSERT_STRING_EQUAL(name, rows[i].name);
    }
}

/* A file of one record that goes on from file `after`. */
static void put_file(const char *dir, uint32_t number, uint32_t after)
{
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    struct kms_audit_state state = {0};
    struct kms_audit_opening opening = {.number = number, .after = after, .because = KMS_AUDIT_FAILED};
    uint8_t body[KMS_AUDIT_OPENING_BYTES], line[KMS_AUDIT_OPENING_BYTES];
    size_t len;
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    KMS_ASSERT_OK_FATAL(kms_audit_encode_opening(&opening, &state, "t", body, &len));
    KMS_ASSERT_OK_FATAL(kms_audit_seal(&chain, 1, kms_bytes_of(body, len), line, &len));
    log_write(dir, number, line, len);
    kms_digest_free(chain.digest);
}

/* files: pairs of number and after; want: the numbers that count, from first on. */
static void which_count(void)
{
    static const struct {
        uint32_t files[5][2], first, want[5];
    } rows[] = {
        {{{0, 0}}, 1, {0}},
        {{{1, 0}}, 1, {1}},
        {{{1, 0}, {2, 1}, {3, 2}}, 1, {1, 2, 3}},
        {{{1, 0}, {2, 1}, {3, 1}}, 1, {1, 3}}, /* 2 failed */
        {{{1, 0}, {2, 0}}, 1, {2}},            /* 1 failed before anything counted */
        {{{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 4}}, 1, {1, 2, 4, 5}},
        {{{1, 0}, {3, 1}, {7, 3}}, 1, {1, 3, 7}}, /* files that failed are gone */
        {{{1, 0}, {3, 2}}, 1, {1, 3}},            /* 2 is missing: verify finds it */
        {{{3, 2}, {4, 3}}, 1, {3, 4}},            /* the front is archived */
        {{{1, 0}, {2, 1}, {3, 2}}, 2, {2, 3}},
        {{{1, 0}, {2, 1}, {3, 1}}, 2, {3}}, /* the reader stands in a file that failed */
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char dir[128];
        struct kms_audit_segments segments;
        KMS_OWN_FD dir_fd = -1;
        log_dir(dir);
        for (size_t f = 0; f < 5 && rows[i].files[f][0] != 0; f++)
            put_file(dir, rows[i].files[f][0], rows[i].files[f][1]);
        KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
        KMS_ASSERT_OK_FATAL(kms_audit_segments_read(dir_fd, "t", rows[i].first, &segments, NULL));
        size_t count = 0;
        while (count < 5 && rows[i].want[count] != 0) count++;
        CU_ASSERT_EQUAL(segments.count, count);
        for (size_t k = 0; k < count && k < segments.count; k++)
            CU_ASSERT_EQUAL(segments.list[k].number, rows[i].want[k]);
        kms_audit_segments_free(&segments);
    }
}

static void what_is_left_out(void)
{
    char dir[128];
    struct kms_audit_segments segments;
    KMS_OWN_FD dir_fd = -1;
    static const uint8_t nuls[8192];
    log_dir(dir);
    put_file(dir, 1, 0);
    log_write(dir, 2, "", 0);
    log_write(dir, 3, nuls, sizeof nuls);
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
    KMS_ASSERT_OK_FATAL(kms_audit_segments_read(dir_fd, "t", 1, &segments, NULL));
    CU_ASSERT_EQUAL(segments.count, 1);
    CU_ASSERT_EQUAL(segments.last_number, 3);
    CU_ASSERT_FALSE(segments.torn_file);
    kms_audit_segments_free(&segments);
    log_write(dir, 4, "{\"seq\":\0\0\0", 10);
    KMS_ASSERT_OK_FATAL(kms_audit_segments_read(dir_fd, "t", 1, &segments, NULL));
    CU_ASSERT_EQUAL(segments.count, 1);
    CU_ASSERT_TRUE(segments.torn_file);
    kms_audit_segments_free(&segments);
    log_write(dir, 4, "garbage\n", 8); /* not ours, but not nothing: it is kept for verify to name */
    KMS_ASSERT_OK_FATAL(kms_audit_segments_read(dir_fd, "t", 1, &segments, NULL));
    CU_ASSERT_EQUAL(segments.count, 2);
    CU_ASSERT_FALSE(segments.list[1].readable);
    kms_audit_segments_free(&segments);
}

static void compressed_names(void)
{
    char instance[KMS_AUDIT_INSTANCE_BYTES + 1], name[KMS_AUDIT_NAME_BYTES], packed[KMS_AUDIT_NAME_BYTES];
    const char longest[] = "a2345678901234567890123456789012";
    uint32_t number;
    kms_audit_segment_name(longest, KMS_AUDIT_NUMBER_MAX, name);
    kms_audit_packed_name(name, packed);
    CU_ASSERT_STRING_EQUAL(packed, "a2345678901234567890123456789012-99999999.jsonl.zst");
    CU_ASSERT_TRUE(kms_audit_segment_parse(packed, instance, &number));
    CU_ASSERT_STRING_EQUAL(instance, longest);
    CU_ASSERT_EQUAL(number, KMS_AUDIT_NUMBER_MAX);
}

KMS_TEST_MAIN("audit/segment", {"names", names}, {"compressed names", compressed_names},
              {"which files count", which_count}, {"what is left out", what_is_left_out})
