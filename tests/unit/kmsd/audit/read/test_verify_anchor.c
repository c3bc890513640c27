/* Whoever cuts the log off is found by heads that were kept elsewhere. */
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/kmsd/audit/pieces.h"

static char anchor_path[200];

/* The heads of the log, as the anchor gets them. */
static void anchors_of(const char *dir, kms_buf *file)
{
    struct pieces pieces;
    pieces_take(dir, &pieces);
    for (size_t i = 0; i < pieces.count; i++) {
        struct kms_audit_signed_head head;
        char instance[KMS_AUDIT_HEAD_INSTANCE], line[KMS_AUDIT_ANCHOR_BYTES];
        if (!kms_audit_head_read(kms_bytes_text(pieces.line[i].text), instance, &head)) continue;
        size_t len = kms_audit_anchor_line(instance, &head, line);
        KMS_ASSERT_OK_FATAL(kms_buf_append(file, line, len));
    }
}

static void write_anchor(const kms_buf *file)
{
    snprintf(anchor_path, sizeof anchor_path, "%s/anchor.jsonl", kms_temp_dir());
    pieces_write_file(anchor_path, kms_buf_view(file));
}

static void make_anchored(char dir[128])
{
    KMS_OWN_BUF anchors = {0};
    pieces_log(dir);
    anchors_of(dir, &anchors);
    write_anchor(&anchors);
}

static void anchored_and_whole(void)
{
    char dir[128];
    struct kms_audit_report report;
    make_anchored(dir);
    const struct kms_audit_check check = {.dir = dir, .key_file = pieces_key(), .anchor_file = anchor_path};
    KMS_ASSERT_OK(kms_audit_verify(&check, &report, NULL));
    CU_ASSERT_EQUAL(report.anchors, 3);
    CU_ASSERT_EQUAL(report.anchors_before, 0);
}

static void cut(const char *dir, size_t lines, size_t bytes)
{
    struct pieces pieces;
    pieces_take(dir, &pieces);
    pieces.count -= lines;
    pieces_put(dir, &pieces);
    KMS_OWN_BUF file = {0};
    log_read(dir, 2, &file);
    log_write(dir, 2, file.data, file.len - bytes);
}

static void cut_off(void)
{
    static const struct {
        size_t lines, bytes;
        bool open_end;
        const char *anchored; /* NULL: the anchored heads are all there */
    } cuts[] = {
        {1, 0, true, NULL}, /* only the last head record; the record that it signs is there */
        {2, 0, true,
         "t-00000002.jsonl:4: removed: the log ends here with sequence 10, but the head of sequence 11"},
        {1, 9, false, "t-00000002.jsonl:4: removed: the log ends here with sequence 10"}, /* within a line */
        {5, 0, true,
         "t-00000002.jsonl:1: removed: the log ends here with sequence 7, but the head of sequence 8"},
    };
    for (size_t i = 0; i < KMS_COUNT(cuts); i++) {
        char dir[128];
        struct kms_audit_report report = {.open_end = false};
        make_anchored(dir);
        cut(dir, cuts[i].lines, cuts[i].bytes);
        KMS_ASSERT_OK(
            kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()}, &report, NULL));
        CU_ASSERT_EQUAL(report.open_end, cuts[i].open_end);
        CU_ASSERT_EQUAL(report.torn_tail, cuts[i].bytes > 0);
        pieces_expect(&(struct kms_audit_check){.dir = dir, .anchor_file = anchor_path}, cuts[i].anchored);
    }
}

static void newest_file_gone(void)
{
    char dir[128], path[200];
    make_anchored(dir);
    snprintf(path, sizeof path, "%s/t-00000002.jsonl", dir);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    pieces_expect(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()}, NULL);
    pieces_expect(
        &(struct kms_audit_check){.dir = dir, .key_file = pieces_key(), .anchor_file = anchor_path},
        "t-00000001.jsonl:6: removed: the log ends here with sequence 6, but the head of sequence 8");
}

/* Cut off, then written on, as if nothing had been. */
static void cut_off_and_gone_on(void)
{
    char dir[128];
    make_anchored(dir);
    cut(dir, 3, 0);
    kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
    log_calls(audit, 4);
    kms_audit_close(audit);
    pieces_expect(&(struct kms_audit_check){.dir = dir, .anchor_file = anchor_path},
                  "t-00000003.jsonl:2: changed: this is not the record that was anchored");
}

/* All heads taken out, all hashes made anew: without an anchor a log like one that was never signed. */
static void all_made_anew(void)
{
    char dir[128];
    struct pieces pieces;
    struct kms_audit_report report;
    make_anchored(dir);
    pieces_take(dir, &pieces);
    pieces_remove(&pieces, 11);
    pieces_remove(&pieces, 8);
    pieces_remove(&pieces, 3);
    pieces_replace(&pieces, 1, "allow", "deny");
    pieces_seal(&pieces, 0);
    pieces_put(dir, &pieces);
    KMS_ASSERT_OK(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()}, &report, NULL));
    CU_ASSERT_EQUAL(report.heads, 0);
    CU_ASSERT_EQUAL(report.unsigned_records, report.records);
    pieces_expect(&(struct kms_audit_check){.dir = dir, .anchor_file = anchor_path},
                  "t-00000001.jsonl:3: changed: this is not the record that was anchored");
}

static void anchors_of_an_archived_front(void)
{
    char dir[128], path[200];
    struct kms_audit_report report;
    make_anchored(dir);
    snprintf(path, sizeof path, "%s/t-00000001.jsonl", dir);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    KMS_ASSERT_OK(kms_audit_verify(
        &(struct kms_audit_check){.dir = dir, .anchor_file = anchor_path, .archived = true}, &report, NULL));
    CU_ASSERT_EQUAL(report.anchors, 2);
    CU_ASSERT_EQUAL(report.anchors_before, 1);
}

static void forged_anchor(void)
{
    char dir[128], want[260];
    KMS_OWN_BUF anchors = {0};
    make_anchored(dir);
    anchors_of(dir, &anchors);
    char *at = memmem(anchors.data, anchors.len, "\"sequence\":8", 12);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at[11] = '9';
    write_anchor(&anchors);
    snprintf(want, sizeof want, "%s:2: forged: its signature is not one by the key", anchor_path);
    pieces_expect(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key(), .anchor_file = anchor_path},
                  want);
}

/* A file of syslog, a line that was cut off, heads of others. */
static void what_else_an_anchor_holds(void)
{
    char dir[128];
    KMS_OWN_BUF anchors = {0};
    KMS_OWN_BUF file = {0};
    struct kms_audit_report report;
    make_anchored(dir);
    anchors_of(dir, &anchors);
    char *second = memchr(anchors.data, '\n', anchors.len);
    struct kms_bytes first = {anchors.data, (size_t)(second + 1 - (char *)anchors.data)};
    KMS_ASSERT_OK_FATAL(kms_buf_print(&file, "Nov 22 12:00:00 host sshd[7]: {nothing of ours}\n"));
    KMS_ASSERT_OK_FATAL(
        kms_buf_print(&file, "Nov 22 12:00:00 host kmsd[8]: %.*s", (int)first.len, first.ptr));
    KMS_ASSERT_OK_FATAL(kms_buf_print(&file, "%.*s\n\n", 200, first.ptr));
    struct kms_audit_signed_head other;
    char line[KMS_AUDIT_ANCHOR_BYTES];
    signer_sign("u", &(struct kms_audit_head){.sequence = 1}, &other);
    size_t len = kms_audit_anchor_line("u", &other, line);
    KMS_ASSERT_OK_FATAL(kms_buf_append(&file, line, len));
    KMS_ASSERT_OK_FATAL(kms_buf_append(&file, second + 1, anchors.len - first.len));
    write_anchor(&file);
    const struct kms_audit_check check = {.dir = dir, .key_file = pieces_key(), .anchor_file = anchor_path};
    KMS_ASSERT_OK(kms_audit_verify(&check, &report, NULL));
    CU_ASSERT_EQUAL(report.anchors, 3);
}

static void arguments(void)
{
    char dir[128];
    KMS_OWN_BUF anchors = {0};
    struct kms_audit_report report = {.records = 77};
    struct kms_why why;
    make_anchored(dir);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = anchor_path}, &report, &why),
        INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "anchor.jsonl: no public key"));
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = "/absent"}, &report, &why), IO);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .anchor_file = "/absent"}, &report, &why), IO);
    KMS_ASSERT_CODE(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .anchor_file = dir}, &report, &why), IO);
    anchors_of(dir, &anchors);
    struct kms_bytes once = kms_bytes_of(anchors.data, anchors.len);
    KMS_OWN_BUF twice = {0};
    KMS_ASSERT_OK_FATAL(kms_buf_append(&twice, once.ptr, once.len));
    KMS_ASSERT_OK_FATAL(kms_buf_append(&twice, once.ptr, once.len));
    write_anchor(&twice);
    const struct kms_audit_check check = {.dir = dir, .anchor_file = anchor_path};
    KMS_ASSERT_CODE(kms_audit_verify(&check, &report, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "anchor.jsonl:4: heads stand in ascending order here"));
    memcpy(memmem(anchors.data, anchors.len, "\"key_id\"", 8), "\"key_di\"", 8);
    write_anchor(&anchors);
    KMS_ASSERT_CODE(kms_audit_verify(&check, &report, &why), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "anchor.jsonl:1: this is no head as kmsd writes it"));
    CU_ASSERT_EQUAL(report.records, 77); /* untouched */
}

KMS_TEST_MAIN("audit/verify_anchor", {"anchored and whole", anchored_and_whole}, {"cut off", cut_off},
              {"newest file gone", newest_file_gone}, {"cut off and gone on", cut_off_and_gone_on},
              {"all made anew", all_made_anew},
              {"anchors of an archived front", anchors_of_an_archived_front},
              {"forged anchor", forged_anchor}, {"what else an anchor holds", what_else_an_anchor_holds},
              {"arguments", arguments})
