/* Which lines pass a filter, over lines that the writer made. */
#include "kmsd/audit/query.h"

#include <stdio.h>
#include <stdlib.h>

#include "kmsd/audit/chain.h"
#include "kmsd/audit/encode.h"
#include "kmsd/audit/fields.h"
#include "kmsd/audit/reader.h"
#include "tests/unit/kmsd/audit/log.h"

#define NOON   UINT64_C(1763812800000000) /* 2025-11-22T12:00:00Z */
#define SECOND UINT64_C(1000000)
#define KEY_1  "11111111-1111-4111-8111-111111111111"
#define KEY_2  "22222222-2222-4222-8222-222222222222"

/* Lines as a writer would make them, each in memory of its own. */
enum { PLAIN, ADMIN_ATTEMPT, DENIED, ODD, BATCH, NOBODY, LINES };
static kms_buf lines[LINES];

static void make(size_t at, struct kms_audit_event event)
{
    static uint8_t body[KMS_AUDIT_BATCH_BODY_BYTES], line[KMS_AUDIT_BATCH_BODY_BYTES + KMS_AUDIT_FRAME_BYTES];
    size_t len;
    KMS_OWN(kms_digest) digest = NULL;
    KMS_ASSERT_OK_FATAL(kms_digest_new(&digest));
    struct kms_audit_chain chain = {.digest = digest, .head = kms_audit_no_head};
    uint64_t time_us = NOON + at * SECOND;
    KMS_ASSERT_OK_FATAL(kms_audit_encode(&event, "t", time_us, body, &len));
    KMS_ASSERT_OK_FATAL(kms_audit_seal(&chain, time_us, kms_bytes_of(body, len), line, &len));
    kms_buf_free(&lines[at]);
    KMS_ASSERT_OK_FATAL(kms_buf_append(&lines[at], line, len - 1));
}

static struct kms_bytes text(const char *t)
{
    return kms_bytes_text(t);
}

static void make_lines(void)
{
    struct kms_id id = {.bytes = {0x12, 0x34}};
    make(PLAIN, (struct kms_audit_event){.kind = KMS_AUDIT_CALL,
                                         .request_id = id,
                                         .principal = "spiffe://example.com/web",
                                         .operation = "Encrypt",
                                         .access = {{.action = "kms:Encrypt",
                                                     .key_id = KEY_1,
                                                     .key_named = text("alias/web"),
                                                     .decision = "allow"}},
                                         .access_count = 1,
                                         .started_us = NOON - 250,
                                         .correlation_id = text("order-7")});
    make(ADMIN_ATTEMPT, (struct kms_audit_event){.kind = KMS_AUDIT_ATTEMPT,
                                                 .principal = "spiffe://example.com/admin",
                                                 .operation = "CreateAlias",
                                                 .access = {{.action = "kms:CreateAlias", .key_id = KEY_2}},
                                                 .access_count = 1});
    make(DENIED, (struct kms_audit_event){.kind = KMS_AUDIT_CALL,
                                          .principal = "spiffe://example.com/webmail",
                                          .operation = "ReEncrypt",
                                          .access = {{.action = "kms:ReEncryptFrom", .key_id = KEY_1},
                                                     {.action = "kms:ReEncryptTo", .key_id = KEY_2}},
                                          .access_count = 2,
                                          .outcome = KMS_FAIL(ACCESS_DENIED),
                                          .detail = "\"outcome\":\"OK\",\"principal\":\"spiffe://x\""});
    make(ODD, (struct kms_audit_event){.kind = KMS_AUDIT_CALL,
                                       .principal = "CN=\"quoted\\\" \x1b[2J, O=M\xc3\xbcller",
                                       .operation = "Decrypt",
                                       .access = {{.action = "kms:Decrypt", .key_named = text("alias/a\"b")}},
                                       .access_count = 1,
                                       .outcome = KMS_FAIL(NOT_FOUND),
                                       .protocol = "sops",
                                       .correlation_id = text("\"principal\":\"spiffe://example.com/web\"")});
    const struct kms_audit_access shared[] = {{.action = "kms:Decrypt", .key_id = KEY_2, .decision = "deny"}};
    const struct kms_audit_item items[] = {{.outcome = KMS_OK},
                                           {.access_count = 1, .outcome = KMS_FAIL(ACCESS_DENIED)}};
    const struct kms_audit_batch batch = {shared, 1, items, 2};
    make(BATCH, (struct kms_audit_event){.kind = KMS_AUDIT_CALL,
                                         .principal = "spiffe://example.com/web",
                                         .operation = "DecryptBatch",
                                         .batch = &batch});
    make(NOBODY, (struct kms_audit_event){.kind = KMS_AUDIT_SERVICE, .operation = "start"});
}

/* Bits of the lines that pass. */
static unsigned passed(const struct kms_audit_filter *filter)
{
    KMS_OWN(kms_audit_query) query = NULL;
    struct kms_why why = {""};
    unsigned bits = 0;
    kms_err err = kms_audit_query_new(filter, &query, &why);
    if (kms_failed(err)) printf("\n%s\n", why.text);
    KMS_ASSERT_OK_FATAL(err);
    for (unsigned i = 0; i < LINES; i++) {
        enum kms_audit_match match = kms_audit_query_match(query, kms_buf_view(&lines[i]));
        CU_ASSERT_NOT_EQUAL(match, KMS_AUDIT_NO_RECORD);
        bits |= match == KMS_AUDIT_MATCH ? 1u << i : 0;
    }
    return bits;
}

#define BIT(line) (1u << (line))
#define ALL       (BIT(LINES) - 1)

static void each_term(void)
{
    static const struct {
        enum kms_audit_term by;
        const char *text;
        unsigned want;
    } rows[] = {
        {KMS_AUDIT_BY_PRINCIPAL, "spiffe://example.com/web", BIT(PLAIN) | BIT(BATCH)},
        {KMS_AUDIT_BY_PRINCIPAL, "spiffe://example.com/web*", BIT(PLAIN) | BIT(BATCH) | BIT(DENIED)},
        {KMS_AUDIT_BY_PRINCIPAL, "spiffe://x", 0},
        {KMS_AUDIT_BY_PRINCIPAL, "example.com/web", 0},
        {KMS_AUDIT_BY_PRINCIPAL, "CN=\"quoted\\\" \x1b[2J, O=M\xc3\xbcller", BIT(ODD)},
        {KMS_AUDIT_BY_PRINCIPAL, "CN=\"*", BIT(ODD)},
        {KMS_AUDIT_BY_PRINCIPAL, "*", ALL},
        {KMS_AUDIT_BY_PRINCIPAL, "", BIT(NOBODY)},
        {KMS_AUDIT_BY_KEY, KEY_1, BIT(PLAIN) | BIT(DENIED)},
        {KMS_AUDIT_BY_KEY, KEY_2, BIT(ADMIN_ATTEMPT) | BIT(DENIED) | BIT(BATCH)},
        {KMS_AUDIT_BY_KEY, "alias/web", BIT(PLAIN)},
        {KMS_AUDIT_BY_KEY, "web", BIT(PLAIN)},
        {KMS_AUDIT_BY_KEY, "a\"b", BIT(ODD)},
        {KMS_AUDIT_BY_KEY, "alias/we", 0},
        {KMS_AUDIT_BY_KEY, "alias/*", 0}, /* no star here: a name may hold one */
        {KMS_AUDIT_BY_OPERATION, "Decrypt", BIT(ODD)},
        {KMS_AUDIT_BY_OPERATION, "Decrypt*", BIT(ODD) | BIT(BATCH)},
        {KMS_AUDIT_BY_OPERATION, "decrypt", 0},
        {KMS_AUDIT_BY_ACTION, "kms:ReEncryptTo", BIT(DENIED)},
        {KMS_AUDIT_BY_ACTION, "ReEncryptTo", BIT(DENIED)},
        {KMS_AUDIT_BY_ACTION, "kms:ReEncrypt*", BIT(DENIED)},
        {KMS_AUDIT_BY_ACTION, "kms:Decrypt", BIT(ODD) | BIT(BATCH)},
        {KMS_AUDIT_BY_OUTCOME, "OK", BIT(PLAIN) | BIT(BATCH)},
        {KMS_AUDIT_BY_OUTCOME, "denied", BIT(DENIED) | BIT(BATCH)},
        {KMS_AUDIT_BY_OUTCOME, "ACCESS_DENIED", BIT(DENIED) | BIT(BATCH)},
        {KMS_AUDIT_BY_OUTCOME, "failed", BIT(DENIED) | BIT(ODD) | BIT(BATCH)},
        {KMS_AUDIT_BY_OUTCOME, "NOT_FOUND", BIT(ODD)},
        {KMS_AUDIT_BY_KIND, "attempt", BIT(ADMIN_ATTEMPT)},
        {KMS_AUDIT_BY_KIND, "service", BIT(NOBODY)},
        {KMS_AUDIT_BY_REQUEST_ID, "12340000-0000-0000-0000-000000000000", BIT(PLAIN)},
        {KMS_AUDIT_BY_CORRELATION_ID, "order-7", BIT(PLAIN)},
        {KMS_AUDIT_BY_CORRELATION_ID, "order", 0},
        {KMS_AUDIT_BY_PROTOCOL, "sops", BIT(ODD)},
        {KMS_AUDIT_BY_PROTOCOL, "sop", 0},
        {KMS_AUDIT_BY_PROTOCOL, "kms", ALL & ~(BIT(ODD) | BIT(NOBODY))},
    };
    make_lines();
    CU_ASSERT_EQUAL(passed(&(struct kms_audit_filter){0}), ALL);
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_filter filter = {0};
        filter.terms[rows[i].by] = rows[i].text;
        unsigned got = passed(&filter);
        if (got != rows[i].want) printf("\nrow %zu (%s): %x, not %x\n", i, rows[i].text, got, rows[i].want);
        CU_ASSERT_EQUAL(got, rows[i].want);
    }
}

/* Key and action are asked of the same access; the others of the record. */
static void terms_together(void)
{
    make_lines();
    struct kms_audit_filter filter = {
        .terms = {[KMS_AUDIT_BY_KEY] = KEY_1, [KMS_AUDIT_BY_ACTION] = "kms:ReEncryptFrom"}};
    CU_ASSERT_EQUAL(passed(&filter), BIT(DENIED));
    filter.terms[KMS_AUDIT_BY_ACTION] = "kms:ReEncryptTo";
    CU_ASSERT_EQUAL(passed(&filter), 0);
    filter = (struct kms_audit_filter){
        .terms = {[KMS_AUDIT_BY_PRINCIPAL] = "spiffe://*", [KMS_AUDIT_BY_OUTCOME] = "denied"}};
    CU_ASSERT_EQUAL(passed(&filter), BIT(DENIED) | BIT(BATCH));
}

static void range_of_time(void)
{
    make_lines();
    static const struct {
        uint64_t since_us, until_us;
        unsigned want;
    } rows[] = {
        {NOON, 0, ALL},
        {NOON + 1, 0, ALL & ~BIT(0)},
        {NOON + 2 * SECOND, NOON + 4 * SECOND, BIT(2) | BIT(3)}, /* from, and before */
        {0, NOON, 0},
        {0, NOON + 1, BIT(0)},
        {NOON + LINES * SECOND, 0, 0},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        struct kms_audit_filter filter = {.since_us = rows[i].since_us, .until_us = rows[i].until_us};
        CU_ASSERT_EQUAL(passed(&filter), rows[i].want);
    }
}

static void refused(const struct kms_audit_filter *filter, const char *words)
{
    kms_audit_query *query = NULL;
    struct kms_why why = {""};
    KMS_ASSERT_CODE(kms_audit_query_new(filter, &query, &why), INVALID_ARGUMENT);
    if (strstr(why.text, words) == NULL) printf("\n%s\n", why.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
    CU_ASSERT_PTR_NULL(query);
}

static void nonsense_is_refused(void)
{
    static char long_text[KMS_AUDIT_TERM_BYTES + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    refused(&(struct kms_audit_filter){.terms = {[KMS_AUDIT_BY_KIND] = "calls"}}, "kind is call, attempt");
    refused(&(struct kms_audit_filter){.terms = {[KMS_AUDIT_BY_OUTCOME] = "DENIED"}},
            "outcome is OK, denied");
    refused(&(struct kms_audit_filter){.terms = {[KMS_AUDIT_BY_KEY] = long_text}}, "key is too long");
    refused(&(struct kms_audit_filter){.terms = {[KMS_AUDIT_BY_PRINCIPAL] = "\xff"}},
            "principal is not UTF-8");
    refused(&(struct kms_audit_filter){.since_us = NOON, .until_us = NOON}, "2025-11-22T12:00:00.000000Z");
}

static void what_is_no_record_is_told(void)
{
    static const char *const bad[] = {"", "{}", "null", "{\"seq\":1}"};
    KMS_OWN(kms_audit_query) query = NULL;
    make_lines();
    KMS_ASSERT_OK_FATAL(kms_audit_query_new(&(struct kms_audit_filter){0}, &query, NULL));
    for (size_t i = 0; i < KMS_COUNT(bad); i++)
        CU_ASSERT_EQUAL(kms_audit_query_match(query, text(bad[i])), KMS_AUDIT_NO_RECORD);
    for (size_t cut = 0; cut < lines[BATCH].len; cut++)
        CU_ASSERT_EQUAL(kms_audit_query_match(query, kms_bytes_of(lines[BATCH].data, cut)),
                        KMS_AUDIT_NO_RECORD);
    for (size_t at = 0; at < lines[ODD].len;
         at++) { /* whatever one byte becomes, nothing is read behind the line */
        uint8_t *copy = malloc(lines[ODD].len);
        memcpy(copy, lines[ODD].data, lines[ODD].len);
        copy[at] ^= 2;
        kms_audit_query_match(query, kms_bytes_of(copy, lines[ODD].len));
        free(copy);
    }
}

static void members(void)
{
    struct kms_bytes
        object = text("{\"a\":\"x\\\"y\\\\\",\"n\":12,\"o\":{\"]\":[\"}\"]},\"l\":[1,{},\"\"],\"z\":null}"),
        name, value;
    CU_ASSERT(kms_bytes_equal(kms_audit_inside(kms_audit_member(object, "a")), text("x\\\"y\\\\")));
    CU_ASSERT_EQUAL(kms_audit_number(kms_audit_member(object, "n")), 12);
    CU_ASSERT(kms_bytes_equal(kms_audit_member(object, "o"), text("{\"]\":[\"}\"]}")));
    CU_ASSERT(kms_bytes_equal(kms_audit_member(object, "z"), text("null")));
    CU_ASSERT_EQUAL(kms_audit_member(object, "]").len, 0);
    struct kms_audit_walk walk = kms_audit_walk(kms_audit_member(object, "l"));
    size_t count = 0;
    while (kms_audit_walk_next(&walk, &name, &value)) count++;
    CU_ASSERT(count == 3 && !walk.failed);
    static const char *const bad[] = {"{\"a\"}",    "{\"a\":}", "{a:1}", "{\"a\":\"x}",
                                      "{\"a\":[1}", "[1 2\"]",  "x",     "{\"a\":1,"};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        walk = kms_audit_walk(text(bad[i]));
        while (kms_audit_walk_next(&walk, &name, &value)) continue;
        if (i != 5) CU_ASSERT(walk.failed); /* "1 2\"" is taken for one value: nothing asks for it */
    }
    CU_ASSERT_EQUAL(kms_audit_number(text("99999999999999999999999")), 0);
}

/* Reads a log of several files between two times and says what came and of how many files. */
static void read_between(const char *dir, const char *since, const char *until, uint64_t ret_found[2],
                         unsigned *ret_files)
{
    KMS_OWN(kms_audit_reader) reader = NULL;
    char last[64] = "";
    ret_found[0] = ret_found[1] = 0;
    *ret_files = 0;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    kms_audit_reader_between(reader, since, until);
    for (bool more = true; more;) {
        struct kms_audit_line line;
        struct kms_audit_record record;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        if (!more) break;
        CU_ASSERT_FATAL(kms_audit_scan_record(line.text, &record));
        CU_ASSERT(until[0] == '\0' || memcmp(record.time, until, KMS_TIME_TEXT - 1) < 0);
        if (ret_found[0] == 0) ret_found[0] = record.sequence;
        ret_found[1] = record.sequence;
        *ret_files += strcmp(last, line.file) != 0;
        snprintf(last, sizeof last, "%s", line.file);
    }
}

static void time_of(const char *dir, uint32_t number, char time[KMS_TIME_TEXT])
{
    KMS_OWN_BUF file = {0};
    log_read(dir, number, &file);
    const char *at = strstr((const char *)file.data, "\"time\":\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(time, KMS_TIME_TEXT, "%.27s", at + 8);
}

static void files_out_of_range_are_not_read(void)
{
    char dir[128], third[KMS_TIME_TEXT], fifth[KMS_TIME_TEXT];
    uint64_t found[2];
    unsigned files;
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    while (!log_exists(dir, 7)) log_calls(audit, 10); /* 6 is written, 7 is prepared */
    uint64_t head = log_head(audit);
    time_of(dir, 3, third);
    time_of(dir, 5, fifth);
    read_between(dir, "", "", found, &files);
    CU_ASSERT(found[0] == 1 && found[1] == head && files >= 6);
    unsigned all = files;
    read_between(dir, third, "", found, &files); /* the second may hold a record of that very time */
    CU_ASSERT(found[0] > 1 && found[1] == head && files == all - 1);
    read_between(dir, "", third, found, &files);
    CU_ASSERT(found[0] == 1 && found[1] < head && files <= 2);
    read_between(dir, third, fifth, found, &files);
    CU_ASSERT(found[0] > 1 && found[1] < head && files >= 2 && files <= 3);
    kms_audit_close(audit);
    audit = log_open(dir, LOG_SEGMENT_BYTES); /* the clock may have been set between two processes: */
    kms_audit_close(audit);
    read_between(dir, "2999-01-01T00:00:00.000000Z", "", found, &files);
    CU_ASSERT_EQUAL(files, 2); /* the last file of each is read */
}

KMS_TEST_MAIN("audit/query", {"each term", each_term}, {"terms together", terms_together},
              {"range of time", range_of_time}, {"nonsense is refused", nonsense_is_refused},
              {"what is no record is told", what_is_no_record_is_told}, {"members of a record", members},
              {"files out of range are not read", files_out_of_range_are_not_read})
