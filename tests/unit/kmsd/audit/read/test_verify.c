/* Every way to tamper with a log is found, and named by file, line and kind. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmsd/audit/chain.h"
#include "tests/unit/kmsd/audit/log.h"

enum { FILES = 3, CALLS = 4, RECORDS = FILES * (CALLS + 1) };

/* A log of three files, each closed in good order. */
static void make_log(char dir[128], char head[2 * KMS_DIGEST_BYTES + 1])
{
    uint64_t sequence;
    log_dir(dir);
    for (unsigned i = 0; i < FILES; i++) {
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        log_calls(audit, CALLS);
        kms_audit_head(audit, &sequence, head);
        kms_audit_close(audit);
    }
}

static kms_err verify_head(const char *dir, const char *head, struct kms_audit_report *ret_report,
                           struct kms_why *why)
{
    return kms_audit_verify(&(struct kms_audit_check){.dir = dir, .expect_head = head}, ret_report, why);
}

static void expect_fault(const char *dir, uint32_t number, unsigned line, const char *kind)
{
    struct kms_audit_report report;
    struct kms_why why = {""};
    char where[400];
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    snprintf(where, sizeof where, "t-%08u.jsonl:%u: %s", number, line, kind);
    bool named = strncmp(why.text, where, strlen(where)) == 0;
    if (!named) fprintf(stderr, "\nwant: %s\ngot:  %s\n", where, why.text);
    CU_ASSERT_TRUE(named);
    snprintf(where, sizeof where, "%s:%llu: %s: ", report.fault.file, (unsigned long long)report.fault.line,
             report.fault.kind);
    CU_ASSERT_EQUAL(strncmp(why.text, where, strlen(where)), 0); /* the same in pieces */
}

static void a_good_log(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report;
    make_log(dir, head);
    KMS_ASSERT_OK(verify_head(dir, head, &report, NULL));
    CU_ASSERT_EQUAL(report.records, RECORDS);
    CU_ASSERT_EQUAL(report.files, FILES);
    CU_ASSERT_EQUAL(report.first_sequence, 1);
    CU_ASSERT_EQUAL(report.last_sequence, RECORDS);
    CU_ASSERT_STRING_EQUAL(report.head, head);
    CU_ASSERT_FALSE(report.torn_tail);
    KMS_OWN_BUF one = {0}, two = {0}, three = {0};
    log_read(dir, 1, &one);
    log_read(dir, 2, &two);
    log_read(dir, 3, &three);
    CU_ASSERT_EQUAL(report.bytes, one.len + two.len + three.len);
}

/* Each byte of each file, with several other values. */
static void every_byte(void)
{
    static const uint8_t masks[] = {0x01, 0x80};
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    make_log(dir, head);
    for (uint32_t number = 1; number <= FILES; number++) {
        KMS_OWN_BUF file = {0};
        unsigned line = 1;
        log_read(dir, number, &file);
        size_t end =
            number < FILES ? file.len : file.len - 1; /* without the last line feed of all: see unfinished */
        for (size_t at = 0; at < end; at++) {
            uint8_t was = file.data[at];
            for (size_t m = 0; m < sizeof masks + 2; m++) {
                uint8_t value = m < sizeof masks ? was ^ masks[m] : m == sizeof masks ? 0 : '\n';
                if (value == was) continue;
                log_poke(dir, number, at, value);
                expect_fault(dir, number, line, "");
            }
            log_poke(dir, number, at, was);
            line += was == '\n';
        }
    }
    CU_ASSERT_EQUAL(log_good(dir), RECORDS);
}

/* Without its line feed the last record is as if it had not been finished. */
static void unfinished(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report = {0};
    KMS_OWN_BUF file = {0};
    make_log(dir, head);
    log_read(dir, FILES, &file);
    log_write(dir, FILES, file.data, file.len - 1);
    KMS_ASSERT_OK(log_verify(dir, &report, NULL));
    CU_ASSERT_TRUE(report.torn_tail);
    CU_ASSERT_EQUAL(report.records, RECORDS - 1);
}

/* The lines of a file as pieces that can be put together anew. */
struct pieces {
    kms_buf file;
    struct kms_bytes line[CALLS + 2]; /* from 1 */
};

static void take_apart(const char *dir, uint32_t number, struct pieces *pieces)
{
    log_read(dir, number, &pieces->file);
    const uint8_t *at = pieces->file.data;
    for (unsigned i = 1; i <= CALLS + 1; i++) {
        const uint8_t *end = memchr(at, '\n', pieces->file.len);
        pieces->line[i] = kms_bytes_of(at, (size_t)(end - at) + 1);
        at = end + 1;
    }
}

/* order: the lines that the file shall have; "12345" is the file as it was. */
static void put_together(const char *dir, uint32_t number, const struct pieces *pieces, const char *order)
{
    KMS_OWN_BUF file = {0};
    for (; *order != '\0'; order++) {
        struct kms_bytes line = pieces->line[*order - '0'];
        KMS_ASSERT_OK_FATAL(kms_buf_append(&file, line.ptr, line.len));
    }
    log_write(dir, number, file.data, file.len);
}

static void lines_moved(void)
{
    static const struct {
        uint32_t file;
        const char *order;
        unsigned line;
        const char *kind;
    } rows[] = {
        {2, "1245", 3, "removed"},    {2, "145", 2, "removed"},     {2, "1234", 5, "removed"},
        {2, "1", 2, "removed"},       {2, "2345", 1, "removed"},    {2, "12435", 3, "reordered"},
        {2, "13245", 2, "reordered"}, {2, "21345", 1, "removed"},   {2, "122345", 3, "inserted"},
        {2, "123453", 6, "inserted"}, {2, "142345", 2, "inserted"}, {2, "112345", 2, "inserted"},
        {1, "2345", 1, "removed"},    {1, "1345", 2, "removed"},    {1, "1234", 5, "removed"},
        {1, "13245", 2, "reordered"}, {3, "1345", 2, "removed"},    {3, "12354", 4, "reordered"},
        {3, "12344", 5, "inserted"},  {3, "123455", 6, "inserted"},
    };
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    make_log(dir, head);
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct pieces pieces = {0};
        take_apart(dir, rows[i].file, &pieces);
        put_together(dir, rows[i].file, &pieces, rows[i].order);
        expect_fault(dir, rows[i].file, rows[i].line, rows[i].kind);
        put_together(dir, rows[i].file, &pieces, "12345");
        kms_buf_free(&pieces.file);
    }
    CU_ASSERT_EQUAL(log_good(dir), RECORDS);
}

static void move_file(const char *dir, uint32_t from, uint32_t to)
{
    char old_path[200], new_path[200], name[64];
    log_name(from, name);
    snprintf(old_path, sizeof old_path, "%s/%s", dir, name);
    log_name(to, name);
    snprintf(new_path, sizeof new_path, "%s/%s", dir, name);
    CU_ASSERT_EQUAL_FATAL(to == 0 ? unlink(old_path) : rename(old_path, new_path), 0);
}

static void files_moved(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    make_log(dir, head);
    move_file(dir, 2, 9); /* another name: too new for its content */
    expect_fault(dir, 3, 1, "missing file: t-00000002.jsonl");
    move_file(dir, 9, 2);
    move_file(dir, 1, 9);
    move_file(dir, 2, 1);
    move_file(dir, 9, 2); /* swapped */
    expect_fault(dir, 1, 1, "reordered: this is t-00000002.jsonl");
    move_file(dir, 1, 9);
    move_file(dir, 2, 1);
    move_file(dir, 9, 2);
    log_good(dir);
    log_write(dir, 2, "", 0);
    expect_fault(dir, 3, 1, "missing file: t-00000002.jsonl");
    move_file(dir, 2, 0);
    expect_fault(dir, 3, 1, "missing file: t-00000002.jsonl");
}

/* Old files may be archived: for who knows that, the rest is good and says where it begins. */
static void archived_front(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report;
    const struct kms_audit_check check = {.dir = dir, .expect_head = head, .archived = true};
    make_log(dir, head);
    move_file(dir, 1, 0);
    expect_fault(dir, 2, 1, "missing file: the log begins with sequence");
    KMS_ASSERT_OK(kms_audit_verify(&check, &report, NULL));
    CU_ASSERT_EQUAL(report.first_sequence, CALLS + 2);
    CU_ASSERT_EQUAL(report.records, RECORDS - CALLS - 1);
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES)); /* and it goes on */
    KMS_ASSERT_OK(kms_audit_verify(&check, &report, NULL));
    CU_ASSERT_EQUAL(report.records, RECORDS - CALLS);
}

/* A record changed and its hash made anew, then as many behind it as `count`. */
static void forge(const char *dir, uint32_t number, unsigned line, unsigned count)
{
    struct pieces pieces = {0};
    KMS_OWN_BUF file = {0};
    struct kms_audit_chain chain = {0};
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    take_apart(dir, number, &pieces);
    for (unsigned i = 1; i <= CALLS + 1; i++) {
        struct kms_bytes old = pieces.line[i];
        struct kms_audit_record record;
        CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_of(old.ptr, old.len - 1), &record));
        if (i == line) kms_copy(chain.head.hash, record.prev, KMS_AUDIT_HASH_HEX);
        if (i >= line && i < line + count) {
            uint8_t forged[4096], body[4096];
            size_t len, at = (size_t)(record.kind.ptr - old.ptr) - sizeof ",\"kind\":\"" + 1;
            kms_copy(body, old.ptr + at, record.hashed.len - at);
            uint8_t *allow = memmem(body, record.hashed.len - at, "allow", 5);
            if (i == line && allow != NULL) kms_copy(allow, "xllow", 5);
            chain.head.sequence = record.sequence - 1;
            KMS_ASSERT_OK_FATAL(kms_audit_seal(&chain, kms_now_us(),
                                               kms_bytes_of(body, record.hashed.len - at), forged, &len));
            KMS_ASSERT_OK_FATAL(kms_buf_append(&file, forged, len));
        } else {
            KMS_ASSERT_OK_FATAL(kms_buf_append(&file, old.ptr, old.len));
        }
    }
    log_write(dir, number, file.data, file.len);
    kms_buf_free(&pieces.file);
    kms_digest_free(chain.digest);
}

static void forged_records(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_why why;
    struct kms_audit_report report;
    make_log(dir, head);
    forge(dir, 2, 3, 1);
    expect_fault(dir, 2, 4, "changed: the record before this one was made anew");
    make_log(dir, head);
    forge(dir, 2, 3, 3);
    expect_fault(dir, 3, 1, "changed: the record before this one was made anew");
    make_log(dir, head);
    forge(dir, 3, 2, 4); /* to the end: only a head kept elsewhere tells */
    log_good(dir);
    KMS_ASSERT_CODE(verify_head(dir, head, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "the expected head"));
}

static void cut_off_at_the_end(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report;
    struct kms_why why;
    make_log(dir, head);
    struct pieces pieces = {0};
    take_apart(dir, 3, &pieces);
    put_together(dir, 3, &pieces, "1234");
    CU_ASSERT_EQUAL(log_good(dir), RECORDS - 1); /* nothing shows without the head */
    KMS_ASSERT_CODE(verify_head(dir, head, &report, &why), CORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "the expected head"));
    put_together(dir, 3, &pieces, "12345");
    KMS_ASSERT_OK(verify_head(dir, head, &report, &why));
    move_file(dir, 3, 0);
    KMS_ASSERT_CODE(verify_head(dir, head, &report, &why), CORRUPT);
    kms_buf_free(&pieces.file);
}

static void arguments(void)
{
    char dir[128], empty[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report;
    struct kms_why why;
    make_log(dir, head);
    log_dir(empty);
    KMS_ASSERT_CODE(verify_head(dir, "abc", &report, &why), INVALID_ARGUMENT);
    head[0] = 'A';
    KMS_ASSERT_CODE(verify_head(dir, head, &report, &why), INVALID_ARGUMENT);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .instance = "../t"}, &report, &why),
        INVALID_ARGUMENT);
    KMS_ASSERT_CODE(kms_audit_verify(&(struct kms_audit_check){.dir = dir, .instance = "u"}, &report, &why),
                    IO);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = empty, .instance = NULL}, &report, &why), IO);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = "/nonexistent", .instance = NULL}, &report, &why),
        IO);
}

static void count_progress(void *user, uint64_t done, uint64_t total)
{
    uint64_t *last = user;
    CU_ASSERT_TRUE(done >= *last && done <= total);
    *last = done;
}

static void progress(void)
{
    char dir[128], head[2 * KMS_DIGEST_BYTES + 1];
    struct kms_audit_report report;
    uint64_t last = 0;
    make_log(dir, head);
    KMS_ASSERT_OK(kms_audit_verify(
        &(struct kms_audit_check){.dir = dir, .watch = &(struct kms_audit_watch){count_progress, &last}},
        &report, NULL));
    CU_ASSERT_EQUAL(last, report.bytes);
}

KMS_TEST_MAIN("audit/verify", {"a good log", a_good_log}, {"every byte", every_byte},
              {"the last line unfinished", unfinished}, {"lines moved", lines_moved},
              {"files moved", files_moved}, {"an archived front", archived_front},
              {"forged records", forged_records}, {"cut off at the end", cut_off_at_the_end},
              {"arguments", arguments}, {"progress", progress})
