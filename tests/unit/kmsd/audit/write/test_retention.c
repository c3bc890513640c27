/* Which files may go, that they go in order, and what verify makes of a log whose front is gone. */
#include "kmsd/audit/retention.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsd/audit/read/front.h"
#include "kmsd/audit/segment.h"
#include "kmsd/audit/write/pack.h"
#include "tests/unit/kmsd/audit/log.h"

enum { CALLS = 500, BY_SIZE = 1 };

static unsigned make_log(char dir[128])
{
    log_dir(dir);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, CALLS);
    kms_audit_close(audit);
    unsigned files = log_files(dir);
    CU_ASSERT_FATAL(files >= 4);
    return files;
}

static struct kms_audit_drop plan(const char *dir, struct kms_audit_keep keep)
{
    struct kms_audit_drop drop;
    KMS_ASSERT_OK_FATAL(kms_audit_drop_plan(dir, "t", &keep, &drop, NULL));
    return drop;
}

static void reasons(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    const uint64_t later_us = kms_now_us() + 1000000, all = UINT64_MAX;
    CU_ASSERT_EQUAL(plan(dir, (struct kms_audit_keep){.sequence = all}).files, 0);
    CU_ASSERT_EQUAL(plan(dir, (struct kms_audit_keep){.sequence = all, .before_us = 1}).files, 0);
    struct kms_audit_drop old = plan(dir, (struct kms_audit_keep){.sequence = all, .before_us = later_us});
    CU_ASSERT_EQUAL(old.files, files - 1); /* never the newest */
    CU_ASSERT_EQUAL(old.first_number, 1);
    CU_ASSERT_EQUAL(old.last_number, files - 1);
    CU_ASSERT_EQUAL(old.first_sequence, 1);
    struct kms_audit_drop big = plan(dir, (struct kms_audit_keep){.sequence = all, .bytes = BY_SIZE});
    CU_ASSERT_EQUAL(big.files, files - 1);
    big = plan(dir, (struct kms_audit_keep){.sequence = all, .bytes = UINT64_C(1) << 40});
    CU_ASSERT_EQUAL(big.files, 0);
    big = plan(dir, (struct kms_audit_keep){.sequence = all, .bytes = old.bytes});
    CU_ASSERT_EQUAL(big.files, 1); /* one is enough */
    /* Not past what the ledger has stored: the file that holds the next record stays. */
    struct kms_audit_drop two =
        plan(dir, (struct kms_audit_keep){.sequence = big.last_sequence, .bytes = BY_SIZE});
    CU_ASSERT_EQUAL(two.files, 1);
    two = plan(dir, (struct kms_audit_keep){.sequence = big.last_sequence - 1, .bytes = BY_SIZE});
    CU_ASSERT_EQUAL(two.files, 0);
}

static void make_room(const char *dir, const struct kms_audit_drop *drop)
{
    KMS_ASSERT_OK_FATAL(kms_audit_drop_files(dir, "t", drop, NULL));
}

/* The record that the service makes before. */
static void say(kms_audit *audit, const struct kms_audit_drop *drop, const char *class, uint64_t last)
{
    char first[24], to[24];
    snprintf(first, sizeof first, "%llu", (unsigned long long)drop->first_sequence);
    snprintf(to, sizeof to, "%llu", (unsigned long long)last);
    struct kms_audit_event event = {.kind = KMS_AUDIT_ATTEMPT,
                                    .operation = KMS_AUDIT_DROP_OPERATION,
                                    .class = class,
                                    .principal = "kmsd",
                                    .principal_source = "service",
                                    .request_id = {{1}},
                                    .extra = {{kms_bytes_text("first_sequence"), kms_bytes_text(first)},
                                              {kms_bytes_text("last_sequence"), kms_bytes_text(to)},
                                              {kms_bytes_text("last_hash"), kms_bytes_text(drop->last_hash)}},
                                    .extra_count = 3};
    KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
    event.kind = KMS_AUDIT_OUTCOME;
    KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
    KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
}

static void expect_missing(const char *dir, uint32_t number)
{
    struct kms_audit_report report;
    struct kms_why why = {""};
    char want[100];
    KMS_ASSERT_CODE(log_verify(dir, &report, &why), CORRUPT);
    snprintf(want, sizeof want, "t-%08u.jsonl:1: missing file: ", number);
    if (strstr(why.text, want) == NULL) fprintf(stderr, "\n%s\n", why.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, want));
}

/* A front is good when the record says so, also while it is dropped; and not one file further. */
static void what_was_said(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    struct kms_audit_drop one, two;
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    one = plan(dir, (struct kms_audit_keep){.sequence = UINT64_MAX, .bytes = BY_SIZE});
    CU_ASSERT_EQUAL_FATAL(one.files, files);
    two = one;
    two.last_number = 2;
    struct kms_audit_segments listed;
    KMS_OWN_FD dir_fd = -1;
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
    KMS_ASSERT_OK_FATAL(kms_audit_segments_read(dir_fd, "t", 1, &listed, NULL));
    two.last_sequence = listed.list[2].first_sequence - 1;
    memcpy(two.last_hash, listed.list[2].prev, KMS_AUDIT_HASH_HEX);
    kms_audit_segments_free(&listed);
    say(audit, &two, "service", two.last_sequence);
    log_good(dir); /* said, but not yet done */
    struct kms_audit_drop half = two;
    half.last_number = 1;
    make_room(dir, &half);
    log_good(dir); /* half done */
    make_room(dir, &two);
    CU_ASSERT_FALSE(log_exists(dir, 2));
    CU_ASSERT_TRUE(log_exists(dir, 3));
    log_good(dir);
    half.last_number = 3;
    make_room(dir, &half); /* somebody else */
    expect_missing(dir, 4);
    kms_audit_close(audit);
    expect_missing(dir, 4);
}

/* A record that is not the service's own, or that says another hash, explains nothing. */
static void false_witnesses(void)
{
    for (int i = 0; i < 3; i++) {
        char dir[128];
        make_log(dir);
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        struct kms_audit_drop drop =
            plan(dir, (struct kms_audit_keep){.sequence = UINT64_MAX, .bytes = BY_SIZE});
        uint64_t last = drop.last_sequence;
        if (i == 1) memset(drop.last_hash, 'a', 10);
        if (i == 2) last--;
        say(audit, &drop, i == 0 ? "admin" : "service", last);
        kms_audit_close(audit);
        make_room(dir, &drop);
        expect_missing(dir, drop.last_number + 1);
    }
}

/* Compressed files go like others, and with them what lies between files that count. */
static void all_kinds(void)
{
    char dir[128], name[200];
    make_log(dir);
    KMS_OWN_FD dir_fd = -1;
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
    KMS_ASSERT_OK_FATAL(kms_audit_pack_file(dir_fd, "t", 1, NULL, NULL));
    KMS_ASSERT_OK_FATAL(kms_audit_pack_file(dir_fd, "t", 2, NULL, NULL));
    log_write(dir, 2, "both are there", 14);
    struct kms_audit_drop drop = {.files = 2, .last_number = 2};
    make_room(dir, &drop);
    for (uint32_t number = 1; number <= 2; number++) {
        snprintf(name, sizeof name, "%s/t-%08u.jsonl.zst", dir, number);
        CU_ASSERT_NOT_EQUAL(access(name, F_OK), 0);
        CU_ASSERT_FALSE(log_exists(dir, number));
    }
    CU_ASSERT_TRUE(log_exists(dir, 3));
    make_room(dir, &drop); /* again: nothing is left to do */
}

/* One that cannot be removed ends it; those behind it stay. */
static void cannot_be_removed(void)
{
    char dir[128], path[200];
    struct kms_why why = {""};
    make_log(dir);
    snprintf(path, sizeof path, "%s/t-00000002.jsonl", dir);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    const struct kms_audit_drop drop = {.files = 3, .last_number = 3};
    KMS_ASSERT_CODE(kms_audit_drop_files(dir, "t", &drop, &why), IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "t-00000002.jsonl: cannot be removed: Is a directory"));
    CU_ASSERT_FALSE(log_exists(dir, 1));
    CU_ASSERT_TRUE(log_exists(dir, 3));
}

/* Nothing goes at or behind a file that is damaged: whoever looks into it will want what is there. */
static void damaged(void)
{
    char dir[128];
    unsigned files = make_log(dir);
    log_poke(dir, 3, 30, 'X');
    struct kms_audit_drop drop = plan(dir, (struct kms_audit_keep){.sequence = UINT64_MAX, .bytes = BY_SIZE});
    CU_ASSERT_EQUAL(drop.files, 1);
    CU_ASSERT_TRUE(drop.files < files);
}

/* Who reads meanwhile goes on with what is there. */
static void while_it_is_read(void)
{
    char dir[128];
    make_log(dir);
    KMS_OWN(kms_audit_reader) reader = NULL;
    struct kms_audit_line line;
    uint64_t count = 0, records = log_good(dir);
    bool more;
    struct kms_audit_drop drop = {.files = 2, .last_number = 2};
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    make_room(dir, &drop);
    KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
    CU_ASSERT_STRING_EQUAL(line.file, "t-00000003.jsonl");
    for (count = 1; more; count += more)
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
    CU_ASSERT_TRUE(count > 1 && count < records);
}

KMS_TEST_MAIN("audit/retention", {"reasons", reasons}, {"what was said", what_was_said},
              {"false witnesses", false_witnesses}, {"all kinds of files", all_kinds},
              {"a file cannot be removed", cannot_be_removed}, {"damaged files stay", damaged},
              {"while it is read", while_it_is_read})
