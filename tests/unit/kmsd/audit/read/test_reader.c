/* Reading back: in order, across files, from the tail, and following a log that is being written. */
#include "kmsd/audit/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmsd/audit/chain.h"
#include "tests/unit/kmsd/audit/log.h"

static kms_audit_reader *open_reader(const char *dir)
{
    kms_audit_reader *reader = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    return reader;
}

/* Sequence of the next record, 0 at the end. */
static uint64_t next(kms_audit_reader *reader)
{
    struct kms_audit_line line;
    struct kms_audit_record record;
    struct kms_why why = {""};
    bool more = false;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, &why));
    if (!more) return 0;
    CU_ASSERT_FATAL(kms_audit_scan_record(line.text, &record));
    return record.sequence;
}

static void in_order_across_files(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 500);
    uint64_t head = log_head(audit);
    for (int closed = 0; closed < 2; closed++) {
        kms_audit_reader *reader = open_reader(dir);
        for (uint64_t i = 1; i <= head; i++) CU_ASSERT_EQUAL_FATAL(next(reader), i);
        CU_ASSERT_EQUAL(next(reader), 0);
        CU_ASSERT_EQUAL(next(reader), 0);
        kms_audit_reader_close(reader);
        if (!closed) kms_audit_close(audit);
    }
}

static void names_file_and_line(void)
{
    char dir[128];
    log_dir(dir);
    for (int i = 0; i < 2; i++) {
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        log_calls(audit, 2);
        kms_audit_close(audit);
    }
    KMS_OWN(kms_audit_reader) reader = open_reader(dir);
    for (unsigned i = 0; i < 6; i++) {
        struct kms_audit_line line;
        bool more;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        CU_ASSERT_STRING_EQUAL(line.file, i < 3 ? "t-00000001.jsonl" : "t-00000002.jsonl");
        CU_ASSERT_EQUAL(line.line_number, i % 3 + 1);
        CU_ASSERT_EQUAL(line.text.ptr[0], '{');
        CU_ASSERT_EQUAL(line.text.ptr[line.text.len - 1], '}');
    }
}

static void tails(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 400);
    uint64_t head = log_head(audit);
    const size_t wanted[] = {0, 1, 2, 5, 100, 399, 403, head - 1, head, head + 1, SIZE_MAX};
    kms_audit_reader *reader = open_reader(dir);
    for (size_t i = 0; i < KMS_COUNT(wanted); i++) {
        uint64_t count = wanted[i] < head ? wanted[i] : head;
        KMS_ASSERT_OK(kms_audit_reader_tail(reader, wanted[i], NULL));
        for (uint64_t sequence = head - count + 1; sequence <= head; sequence++)
            CU_ASSERT_EQUAL_FATAL(next(reader), sequence);
        CU_ASSERT_EQUAL(next(reader), 0);
    }
    log_calls(audit, 1); /* and follows */
    CU_ASSERT_EQUAL(next(reader), head + 1);
    kms_audit_reader_close(reader);
    kms_audit_close(audit);
}

static void follows_step_by_step(void)
{
    char dir[128];
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    kms_audit_reader *reader = open_reader(dir);
    uint64_t expected = 1;
    for (unsigned i = 0; i < 300; i++) {
        for (; expected <= log_head(audit); expected++) CU_ASSERT_EQUAL_FATAL(next(reader), expected);
        CU_ASSERT_EQUAL(next(reader), 0);
        if (i % 100 == 99) { /* restarts of the writer */
            kms_audit_close(audit);
            CU_ASSERT_EQUAL(next(reader), 0);
            audit = log_open(dir, LOG_SEGMENT_BYTES);
        }
        for (unsigned k = 0; k <= i % 5; k++) log_call(audit, k);
        KMS_ASSERT_OK(kms_audit_commit(audit));
    }
    kms_audit_reader_close(reader);
    kms_audit_close(audit);
}

static void *write_on(void *dir)
{
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 1500);
    kms_audit_close(audit);
    return NULL;
}

static void follows_a_live_log(void)
{
    char dir[128];
    log_dir(dir);
    pthread_t writer;
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES)); /* so that there is a log */
    kms_audit_reader *reader = open_reader(dir);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_on, dir), 0);
    uint64_t last = 0, calls = 0;
    while (calls < 1500) {
        struct kms_audit_line line;
        struct kms_audit_record record;
        bool more = false;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        if (!more) {
            usleep(500);
            continue;
        }
        CU_ASSERT_FATAL(kms_audit_scan_record(line.text, &record));
        CU_ASSERT_EQUAL_FATAL(record.sequence, last + 1);
        last = record.sequence;
        calls += kms_bytes_equal(record.kind, kms_bytes_text("call"));
    }
    pthread_join(writer, NULL);
    CU_ASSERT_EQUAL(next(reader), 0);
    kms_audit_reader_close(reader);
}

static void chooses_the_instance(void)
{
    char dir[128];
    struct kms_why why = {""};
    kms_audit_reader *reader = NULL;
    log_dir(dir);
    KMS_ASSERT_CODE(kms_audit_reader_open(dir, NULL, &reader, &why), IO);
    KMS_ASSERT_CODE(kms_audit_reader_open(dir, "T", &reader, &why), INVALID_ARGUMENT);
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    KMS_ASSERT_OK(kms_audit_reader_open(dir, NULL, &reader, &why));
    CU_ASSERT_EQUAL(next(reader), 1);
    kms_audit_reader_close(reader);
    kms_audit *other;
    struct kms_audit_options options = {.dir = dir, .instance = "t-2", .segment_bytes = LOG_SEGMENT_BYTES};
    KMS_ASSERT_OK_FATAL(
        kms_audit_open(&options, &other, &why)); /* its name holds the other's: they do not mix */
    log_calls(other, 3);
    kms_audit_close(other);
    reader = NULL;
    KMS_ASSERT_CODE(kms_audit_reader_open(dir, NULL, &reader, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-2"));
    CU_ASSERT_PTR_NULL(reader);
    CU_ASSERT_EQUAL(log_good(dir), 1);
    kms_audit_reader_close(NULL);
}

/* At every place of a log, of several files, another reader can go on; also at its end, when more has come.
 * */
static void goes_on_at_any_place(void)
{
    char dir[128];
    struct kms_audit_place place, end;
    struct kms_why why = {""};
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 400);
    uint64_t head = log_head(audit);
    KMS_OWN(kms_audit_reader) reader = open_reader(dir);
    for (uint64_t sequence = 1; sequence <= head; sequence++) {
        kms_audit_reader *other = NULL;
        kms_audit_reader_place(reader, &place);
        CU_ASSERT_EQUAL(place.sequence, sequence > 1 ? sequence : 0);
        KMS_ASSERT_OK_FATAL(kms_audit_reader_open_at(dir, "t", &place, &other, &why));
        CU_ASSERT_EQUAL_FATAL(next(other), sequence);
        kms_audit_reader_close(other);
        CU_ASSERT_EQUAL_FATAL(next(reader), sequence);
    }
    kms_audit_reader_place(reader, &end);
    CU_ASSERT_EQUAL(end.sequence, head + 1);
    log_calls(audit, 300); /* in this file and in the next */
    kms_audit_reader *other = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open_at(dir, "t", &end, &other, &why));
    for (uint64_t sequence = head + 1; sequence <= log_head(audit); sequence++)
        CU_ASSERT_EQUAL_FATAL(next(other), sequence);
    kms_audit_reader_close(other);
    kms_audit_close(audit);
}

static void places_that_are_none(void)
{
    char dir[128];
    struct kms_why why = {""};
    struct kms_audit_place good;
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 5);
    KMS_OWN(kms_audit_reader) reader = open_reader(dir);
    for (int i = 0; i < 3; i++) next(reader);
    kms_audit_reader_place(reader, &good);
    const struct kms_audit_place bad[] = {{9, good.offset, good.sequence},
                                          {good.number, good.offset + 1, good.sequence},
                                          {good.number, good.offset, good.sequence + 1},
                                          {good.number, LOG_SEGMENT_BYTES / 2, good.sequence},
                                          {good.number, LOG_SEGMENT_BYTES, good.sequence},
                                          {good.number, UINT64_MAX, 0}};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        kms_audit_reader *other = NULL;
        KMS_ASSERT_CODE(kms_audit_reader_open_at(dir, "t", &bad[i], &other, &why), INVALID_MARKER);
        CU_ASSERT_PTR_NULL(other);
    }
    KMS_ASSERT_OK(kms_audit_reader_near(reader, 1, &why));
    CU_ASSERT_EQUAL(next(reader), 1);
    kms_audit_close(audit);
}

static void overlong_line(void)
{
    static char line[KMS_AUDIT_LINE_BYTES + 10];
    char dir[128];
    struct kms_why why = {""};
    struct kms_audit_line read;
    bool more;
    memset(line, 'x', sizeof line);
    log_dir(dir);
    log_write(dir, 1, line, sizeof line);
    KMS_OWN(kms_audit_reader) reader = open_reader(dir);
    KMS_ASSERT_CODE(kms_audit_reader_next(reader, &read, &more, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000001.jsonl:1: changed"));
}

static void remove_file(const char *dir, uint32_t number)
{
    char name[64], path[200];
    log_name(number, name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
}

/* Files that go while somebody reads: the one at hand is read to its end, and the rest is missed once. */
static void files_that_go(void)
{
    char dir[128];
    struct kms_audit_gap gap;
    log_dir(dir);
    for (unsigned file = 1; file <= 4; file++) {
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        log_calls(audit, 4);
        kms_audit_close(audit);
    }
    KMS_OWN(kms_audit_reader) reader = open_reader(dir);
    for (uint64_t i = 1; i <= 3; i++) CU_ASSERT_EQUAL(next(reader), i);
    for (uint32_t number = 1; number <= 3; number++) remove_file(dir, number);
    CU_ASSERT_EQUAL(next(reader), 4);
    CU_ASSERT_EQUAL(next(reader), 5);
    CU_ASSERT_FALSE(kms_audit_reader_gap(reader, &gap));
    CU_ASSERT_EQUAL(next(reader), 16);
    CU_ASSERT_TRUE(kms_audit_reader_gap(reader, &gap));
    CU_ASSERT_EQUAL(gap.first, 6);
    CU_ASSERT_EQUAL(gap.last, 15);
    CU_ASSERT_FALSE(kms_audit_reader_gap(reader, &gap));
    CU_ASSERT_EQUAL(next(reader), 17);
    KMS_ASSERT_OK(kms_audit_reader_tail(reader, 2, NULL)); /* going elsewhere misses nothing */
    CU_ASSERT_EQUAL(next(reader), 19);
    CU_ASSERT_FALSE(kms_audit_reader_gap(reader, &gap));
}

KMS_TEST_MAIN("audit/reader", {"in order across files", in_order_across_files},
              {"names file and line", names_file_and_line}, {"tails", tails},
              {"follows step by step", follows_step_by_step}, {"follows a live log", follows_a_live_log},
              {"chooses the instance", chooses_the_instance}, {"an overlong line", overlong_line},
              {"goes on at any place", goes_on_at_any_place}, {"places that are none", places_that_are_none},
              {"files that go", files_that_go})
