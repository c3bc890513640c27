/* Whoever changes the log and makes its hashes anew is found by the signed heads. */
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/kmsd/audit/pieces.h"

static void change_sequence(struct pieces *p)
{
    pieces_replace(p, 3, "\"sequence\":3", "\"sequence\":2");
    pieces_seal(p, 3);
}
static void change_hash(struct pieces *p)
{
    char *at = strstr(p->line[3].text, "\"head\":{\"sequence\":3,\"hash\":\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    at += sizeof "\"head\":{\"sequence\":3,\"hash\":\"" - 1;
    *at = *at == '0' ? '1' : '0';
    pieces_seal(p, 3);
}
static void change_key_id(struct pieces *p)
{
    char *at = strstr(p->line[3].text, "\"key_id\":\"") + sizeof "\"key_id\":\"" - 1;
    *at = *at == '0' ? '1' : '0';
    pieces_seal(p, 3);
}
static void change_signature(struct pieces *p)
{
    char *at = strstr(p->line[3].text, "\"signature\":\"") + sizeof "\"signature\":\"" - 1 + 30;
    *at = *at == 'A' ? 'B' : 'A';
    pieces_seal(p, 3);
}
static void no_base64(struct pieces *p)
{
    *(strstr(p->line[3].text, "\"signature\":\"") + sizeof "\"signature\":\"" - 1) = '!';
    pieces_seal(p, 3);
}
static void no_signature(struct pieces *p)
{
    pieces_replace(p, 3, "\"signature\":", "\"signatur\":");
    pieces_seal(p, 3);
}
static void no_member(struct pieces *p)
{
    pieces_replace(p, 3, "\"head\":{", "\"heat\":{");
    pieces_seal(p, 3);
}
static void other_key(struct pieces *p)
{
    signer_new_key();
    pieces_sign_anew(p, 3, "t", 2);
    pieces_seal(p, 3);
}
static void change_first(struct pieces *p)
{
    pieces_replace(p, 1, "allow", "deny");
    pieces_seal(p, 1);
}
static void change_later(struct pieces *p)
{
    pieces_replace(p, 5, "allow", "deny");
    pieces_seal(p, 5);
}
static void change_opening(struct pieces *p)
{
    pieces_replace(p, 6, "\"because\":\"start\"", "\"because\":\"crash\"");
    pieces_seal(p, 6);
}
static void drop_first(struct pieces *p)
{
    pieces_remove(p, 1);
    pieces_seal(p, 1);
}
static void drop_later(struct pieces *p)
{
    pieces_remove(p, 7);
    pieces_seal(p, 7);
}
static void add_one(struct pieces *p)
{
    pieces_insert(p, 2, 5);
    pieces_seal(p, 2);
}
static void swap_two(struct pieces *p)
{
    struct piece keep = p->line[1];
    p->line[1] = p->line[2];
    p->line[2] = keep;
    pieces_seal(p, 1);
}
static void double_one(struct pieces *p)
{
    pieces_insert(p, 8, 7);
    pieces_seal(p, 8);
}
static void drop_head(struct pieces *p)
{
    pieces_remove(p, 3);
    pieces_seal(p, 3);
}
static void repeat_head(struct pieces *p)
{
    pieces_insert(p, 5, 3);
    pieces_seal(p, 5);
}
static void move_head(struct pieces *p)
{
    struct piece keep = p->line[3];
    p->line[3] = p->line[4];
    p->line[4] = keep;
    pieces_seal(p, 3);
}
static void foreign_head(struct pieces *p)
{
    pieces_sign_anew(p, 3, "u", 2);
    pieces_replace(p, 3, "\"instance\":\"t\"", "\"instance\":\"u\"");
    pieces_seal(p, 3);
}
static void foreign_head_renamed(struct pieces *p)
{
    pieces_sign_anew(p, 3, "u", 2);
    pieces_seal(p, 3);
}
static void head_of_the_future(struct pieces *p)
{
    pieces_sign_anew(p, 3, "t", 4);
    pieces_seal(p, 3);
}
static void changed_with_its_head(struct pieces *p)
{
    struct kms_audit_head of;
    char hash[80];
    change_first(p);
    pieces_head(p, 2, &of);
    struct kms_audit_signed_head was;
    char instance[KMS_AUDIT_HEAD_INSTANCE];
    CU_ASSERT_FATAL(kms_audit_head_read(kms_bytes_text(p->line[3].text), instance, &was));
    snprintf(hash, sizeof hash, "%s", of.hash);
    pieces_replace(p, 3, was.hash, hash);
    pieces_seal(p, 3);
}

#define SIGNED_3                                                                                             \
    "changed: the signed hash of sequence 3 is not that of the record there: a record from 1 to it"
#define SIGNED_8                                                                                             \
    "changed: the signed hash of sequence 8 is not that of the record there: a record from 4 to it"
#define SIGNED_11                                                                                            \
    "changed: the signed hash of sequence 11 is not that of the record there: a record from 9 to it"
#define BAD      "forged: the signature of this head is not one over it"
#define OTHER    "forged: this head is signed by another key"
#define NOT_HERE "forged: this head signs sequence"
#define NO_HEAD  "forged: this is no head as kmsd writes it"

static const struct row {
    void (*tamper)(struct pieces *pieces);
    const char *with_key, *without_key;
} rows[] = {
    {change_sequence, "t-00000001.jsonl:4: " BAD,
     "t-00000001.jsonl:4: changed: the signed hash of sequence 2"},
    {change_hash, "t-00000001.jsonl:4: " BAD, "t-00000001.jsonl:4: " SIGNED_3},
    {change_key_id, "t-00000001.jsonl:4: " OTHER, "t-00000002.jsonl:3: " SIGNED_8},
    {change_signature, "t-00000001.jsonl:4: " BAD, "t-00000002.jsonl:3: " SIGNED_8},
    {no_base64, "t-00000001.jsonl:4: " BAD, "t-00000002.jsonl:3: " SIGNED_8},
    {no_signature, "t-00000001.jsonl:4: " NO_HEAD, "t-00000001.jsonl:4: " NO_HEAD},
    {no_member, "t-00000001.jsonl:4: " NO_HEAD, "t-00000001.jsonl:4: " NO_HEAD},
    {other_key, "t-00000001.jsonl:4: " OTHER, "t-00000002.jsonl:3: " SIGNED_8},
    {change_first, "t-00000001.jsonl:4: " SIGNED_3, "t-00000001.jsonl:4: " SIGNED_3},
    {change_later, "t-00000002.jsonl:3: " SIGNED_8, "t-00000002.jsonl:3: " SIGNED_8},
    {change_opening, "t-00000002.jsonl:3: " SIGNED_8, "t-00000002.jsonl:3: " SIGNED_8},
    {drop_first, "t-00000001.jsonl:3: " NOT_HERE, "t-00000001.jsonl:3: " NOT_HERE},
    {drop_later, "t-00000002.jsonl:2: " NOT_HERE, "t-00000002.jsonl:2: " NOT_HERE},
    {add_one, "t-00000001.jsonl:5: " SIGNED_3, "t-00000001.jsonl:5: " SIGNED_3},
    {swap_two, "t-00000001.jsonl:4: " SIGNED_3, "t-00000001.jsonl:4: " SIGNED_3},
    {double_one, "t-00000002.jsonl:7: " SIGNED_11, "t-00000002.jsonl:7: " SIGNED_11},
    {drop_head, "t-00000002.jsonl:3: " NOT_HERE, "t-00000002.jsonl:3: " NOT_HERE},
    {repeat_head, "t-00000001.jsonl:6: " NOT_HERE, "t-00000001.jsonl:6: " NOT_HERE},
    {move_head, "t-00000002.jsonl:3: " SIGNED_8, "t-00000002.jsonl:3: " SIGNED_8},
    {foreign_head, "t-00000001.jsonl:4: forged: this is a head of another instance",
     "t-00000001.jsonl:4: forged: this is a head of another instance"},
    {foreign_head_renamed, "t-00000001.jsonl:4: " BAD, "t-00000002.jsonl:3: " SIGNED_8},
    {head_of_the_future, "t-00000001.jsonl:4: " NOT_HERE, "t-00000001.jsonl:4: " NOT_HERE},
    {changed_with_its_head, "t-00000001.jsonl:4: " BAD, "t-00000002.jsonl:3: " SIGNED_8},
};

static void a_good_log(void)
{
    char dir[128];
    struct kms_audit_report report;
    pieces_log(dir);
    KMS_ASSERT_OK(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()}, &report, NULL));
    CU_ASSERT_STRING_EQUAL(report.instance, "t");
    CU_ASSERT_EQUAL(report.heads, 3);
    CU_ASSERT_EQUAL(report.signed_sequence, 11);
    CU_ASSERT_EQUAL(report.unsigned_records, 1); /* the last head itself */
    CU_ASSERT_TRUE(report.signatures_checked);
    CU_ASSERT_FALSE(report.open_end);
    KMS_ASSERT_OK(kms_audit_verify(&(struct kms_audit_check){.dir = dir}, &report, NULL));
    CU_ASSERT_FALSE(report.signatures_checked);
}

static void made_anew_by_who_has_no_key(void)
{
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        char dir[128];
        struct pieces pieces;
        pieces_log(dir);
        pieces_take(dir, &pieces);
        const char *key = pieces_key();
        rows[i].tamper(&pieces);
        pieces_put(dir, &pieces);
        pieces_expect(&(struct kms_audit_check){.dir = dir, .key_file = key}, rows[i].with_key);
        pieces_expect(&(struct kms_audit_check){.dir = dir}, rows[i].without_key);
    }
}

/* Without making hashes anew: each byte of a head record. */
static void every_byte_of_a_head(void)
{
    char dir[128];
    struct pieces pieces, changed;
    pieces_log(dir);
    pieces_take(dir, &pieces);
    size_t len = strlen(pieces.line[8].text);
    for (size_t at = 0; at < len; at++) {
        changed = pieces;
        changed.line[8].text[at] ^= 1;
        if (changed.line[8].text[at] == '\n') continue;
        pieces_put(dir, &changed);
        pieces_expect(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()},
                      "t-00000002.jsonl:3: ");
    }
}

static void wrong_key(void)
{
    char dir[128];
    pieces_log(dir);
    signer_new_key();
    pieces_expect(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()},
                  "t-00000001.jsonl:4: " OTHER);
}

static void behind_the_last_head(void)
{
    char dir[128];
    struct pieces pieces;
    struct kms_audit_report report;
    pieces_log(dir);
    pieces_take(dir, &pieces);
    pieces_insert(&pieces, pieces.count, pieces.count - 2);
    pieces.line[pieces.count - 1].file = 2;
    pieces_seal(&pieces, pieces.count - 1);
    pieces_put(dir, &pieces);
    KMS_ASSERT_OK(
        kms_audit_verify(&(struct kms_audit_check){.dir = dir, .key_file = pieces_key()}, &report, NULL));
    CU_ASSERT_EQUAL(report.unsigned_records, 2);
    CU_ASSERT_TRUE(report.open_end);
}

/* All heads taken out, all hashes made anew: nothing else tells, as long as no head is kept elsewhere. */
static void too_many_unsigned(void)
{
    char dir[128];
    struct pieces pieces;
    struct kms_audit_report report;
    struct kms_why why;
    pieces_log(dir);
    struct kms_audit_check check = {.dir = dir, .key_file = pieces_key(), .max_unsigned = 1};
    pieces_expect(&check, NULL);
    pieces_take(dir, &pieces);
    static const size_t heads[] = {11, 8, 3};
    for (size_t i = 0; i < KMS_COUNT(heads); i++) pieces_remove(&pieces, heads[i]);
    pieces_seal(&pieces, 3);
    pieces_put(dir, &pieces);
    check.max_unsigned = 0;
    pieces_expect(&check, NULL);
    check.max_unsigned = 9;
    pieces_expect(&check, NULL);
    check.max_unsigned = 8;
    pieces_expect(&check,
                  "t-00000002.jsonl:4: unsigned: no signed head covers the last 9 records, from sequence "
                  "1 on, but 8 at most may be so: heads were removed, or the token did not sign");
    check.key_file = NULL;
    KMS_ASSERT_CODE(kms_audit_verify(&check, &report, &why), INVALID_ARGUMENT);
}

static void archived_front(void)
{
    char dir[128], path[200];
    struct kms_audit_report report;
    pieces_log(dir);
    snprintf(path, sizeof path, "%s/t-00000001.jsonl", dir);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    KMS_ASSERT_OK(kms_audit_verify(
        &(struct kms_audit_check){.dir = dir, .key_file = pieces_key(), .archived = true}, &report, NULL));
    CU_ASSERT_EQUAL(report.first_sequence, 7);
    CU_ASSERT_EQUAL(report.heads, 2);
}

static void several_instances(void)
{
    char dir[128];
    struct kms_audit_instances found;
    struct kms_why why = {""};
    pieces_log(dir);
    const struct kms_audit_options other = {
        .dir = dir, .instance = "a-2", .segment_bytes = LOG_SEGMENT_BYTES};
    kms_audit *audit = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_open(&other, &audit, &why));
    kms_audit_close(audit);
    KMS_ASSERT_OK(kms_audit_instances_read(dir, &found, &why));
    CU_ASSERT_EQUAL_FATAL(found.count, 2);
    CU_ASSERT_STRING_EQUAL(found.name[0], "a-2");
    CU_ASSERT_STRING_EQUAL(found.name[1], "t");
    log_dir(dir);
    KMS_ASSERT_CODE(kms_audit_instances_read(dir, &found, &why), IO);
    KMS_ASSERT_CODE(kms_audit_instances_read("/absent", &found, &why), IO);
}

/* A head as far back as it may be, and one record further. */
static void far_back(void)
{
    for (unsigned further = 0; further < 2; further++) {
        char dir[128];
        struct kms_audit_head of;
        struct kms_audit_signed_head head;
        struct kms_audit_report report;
        struct kms_why why = {""};
        log_dir(dir);
        kms_audit *audit = log_open(dir, 64 << 20);
        kms_audit_head(audit, &of.sequence, of.hash);
        signer_sign("t", &of, &head);
        const struct kms_audit_event event = {.kind = KMS_AUDIT_HEAD, .head = &head},
                                     small = {.kind = KMS_AUDIT_CALL};
        for (unsigned i = 1; i < KMS_AUDIT_HEAD_BEHIND + further; i++)
            KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &small));
        KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
        KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
        kms_audit_close(audit);
        kms_err err = kms_audit_verify(&(struct kms_audit_check){.dir = dir}, &report, &why);
        CU_ASSERT_EQUAL(kms_is(err, KMS_E_CORRUPT), further > 0);
        CU_ASSERT_EQUAL(kms_failed(err), further > 0);
        if (further > 0) CU_ASSERT_PTR_NOT_NULL(strstr(why.text, NOT_HERE));
    }
}

KMS_TEST_MAIN("audit/verify_heads", {"a good log", a_good_log},
              {"made anew by who has no key", made_anew_by_who_has_no_key},
              {"every byte of a head", every_byte_of_a_head}, {"wrong key", wrong_key},
              {"behind the last head", behind_the_last_head}, {"too many unsigned", too_many_unsigned},
              {"archived front", archived_front}, {"several instances", several_instances},
              {"far back", far_back})
