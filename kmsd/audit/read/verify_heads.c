/* Verify's knowledge of heads: those signed in the log, those kept in a file elsewhere. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kmsd/audit/read/verify.h"

enum { ANCHOR_LINE_BYTES = 4096, PEM_BYTES = 64 * 1024 };

static char *recent(const struct kms_verify *v, uint64_t sequence)
{
    return v->recent[sequence % KMS_AUDIT_HEAD_BEHIND];
}

static kms_err forged(struct kms_verify *v, const char *words)
{
    return kms_verify_fault(v, v->scan.line_number, "forged", words);
}

/* ---- heads kept elsewhere ---- */

static kms_err anchor_fault(struct kms_verify *v, kms_err err, const char *kind, const char *words)
{
    struct kms_audit_fault *fault = &v->report.fault;
    *fault = (struct kms_audit_fault){.line = v->anchor_line};
    snprintf(fault->file, sizeof fault->file, "%s", v->check->anchor_file);
    snprintf(fault->kind, sizeof fault->kind, "%s", kind);
    snprintf(fault->words, sizeof fault->words, "%s", words);
    kms_why_set(v->why, "%s:%" PRIu64 ": %s%s%s", fault->file, fault->line, kind, kind[0] != '\0' ? ": " : "",
                words);
    return err;
}

/* One line of the file that is a head of this instance. Whatever else stands there, as in a file of syslog,
 * is passed over; so is a line that was cut off. */
static kms_err take_anchor(struct kms_verify *v, char *line, bool *ret_taken)
{
    struct kms_audit_signed_head head;
    char instance[KMS_AUDIT_HEAD_INSTANCE];
    size_t len = strcspn(line, "\n");
    char *start = strchr(line, '{');
    *ret_taken = false;
    if (start == NULL || strstr(start, "\"head\":{") == NULL || len == 0 || line[len - 1] != '}')
        return KMS_OK;
    if (!kms_audit_head_read(kms_bytes_of(start, (size_t)(line + len - start)), instance, &head))
        return anchor_fault(v, KMS_FAIL(INVALID_ARGUMENT), "", "this is no head as kmsd writes it");
    if (strcmp(instance, v->instance) != 0) return KMS_OK;
    if (v->keys != NULL && kms_audit_keys_check(v->keys, instance, &head) != KMS_AUDIT_SIGNATURE_GOOD)
        return anchor_fault(v, KMS_FAIL(CORRUPT), "forged",
                            "its signature is not one by the key that was given");
    if (head.sequence < v->anchored.sequence)
        return anchor_fault(v, KMS_FAIL(INVALID_ARGUMENT), "",
                            "heads stand in ascending order here, but not this one");
    v->anchored = head;
    *ret_taken = true;
    return KMS_OK;
}

static kms_err next_anchor(struct kms_verify *v)
{
    char line[ANCHOR_LINE_BYTES];
    while (v->anchor != NULL && fgets(line, sizeof line, v->anchor) != NULL) {
        bool taken;
        v->anchor_line++;
        KMS_TRY(take_anchor(v, line, &taken));
        if (taken) return KMS_OK;
    }
    if (v->anchor != NULL && ferror(v->anchor)) {
        kms_why_set(v->why, "%s: %s", v->check->anchor_file, strerror(errno));
        return KMS_FAIL(IO);
    }
    v->anchored.sequence = 0;
    return KMS_OK;
}

static kms_err check_anchor(struct kms_verify *v, const struct kms_audit_record *record)
{
    while (v->anchored.sequence != 0 && v->anchored.sequence <= record->sequence) {
        bool here = v->anchored.sequence == record->sequence;
        if (here && memcmp(v->anchored.hash, record->hash, KMS_AUDIT_HASH_HEX) != 0)
            return kms_verify_fault(
                v, v->scan.line_number, "changed",
                "this is not the record that was anchored: it, or one before it, was made anew");
        if (here)
            v->report.anchors++;
        else
            v->report.anchors_before++;
        KMS_TRY(next_anchor(v));
    }
    return KMS_OK;
}

/* ---- heads in the log ---- */

static kms_err check_signature(struct kms_verify *v, const struct kms_audit_signed_head *head)
{
    char words[160];
    if (v->keys == NULL) return KMS_OK;
    switch (kms_audit_keys_check(v->keys, v->instance, head)) {
    case KMS_AUDIT_SIGNATURE_GOOD:
        return KMS_OK;
    case KMS_AUDIT_SIGNATURE_OTHER_KEY:
        snprintf(words, sizeof words, "this head is signed by another key than the one given: %s",
                 head->key_id);
        return forged(v, words);
    case KMS_AUDIT_SIGNATURE_BAD:
        break;
    }
    return forged(v, "the signature of this head is not one over it");
}

static kms_err misplaced(struct kms_verify *v, uint64_t sequence)
{
    char words[120];
    snprintf(words, sizeof words, "this head signs sequence %" PRIu64 ", which cannot be what is signed here",
             sequence);
    return forged(v, words);
}

static kms_err check_head(struct kms_verify *v, struct kms_bytes line, const struct kms_audit_record *record)
{
    struct kms_audit_signed_head head;
    char instance[KMS_AUDIT_HEAD_INSTANCE], words[160];
    if (!kms_audit_head_read(line, instance, &head)) return forged(v, "this is no head as kmsd writes it");
    if (strcmp(instance, v->instance) != 0) return forged(v, "this is a head of another instance");
    if (head.sequence >= record->sequence || record->sequence - head.sequence > KMS_AUDIT_HEAD_BEHIND ||
        head.sequence <= v->report.signed_sequence)
        return misplaced(v, head.sequence);
    KMS_TRY(check_signature(v, &head));
    if (head.sequence >= v->report.first_sequence &&
        memcmp(head.hash, recent(v, head.sequence), KMS_AUDIT_HASH_HEX) != 0) {
        snprintf(words, sizeof words,
                 "the signed hash of sequence %" PRIu64
                 " is not that of the record there: a record from %" PRIu64 " to it was made anew",
                 head.sequence, v->report.signed_sequence + 1);
        return kms_verify_fault(v, v->scan.line_number, "changed", words);
    }
    v->report.heads++;
    v->report.signed_sequence = head.sequence;
    return KMS_OK;
}

kms_err kms_verify_heads_note(struct kms_verify *v, struct kms_bytes line,
                              const struct kms_audit_record *record)
{
    static const char kind[] = "head";
    bool is_head =
        record->kind.len == sizeof kind - 1 && memcmp(record->kind.ptr, kind, sizeof kind - 1) == 0;
    if (is_head) KMS_TRY(check_head(v, line, record));
    v->ends_in_head = is_head && v->report.signed_sequence + 1 == record->sequence;
    memcpy(recent(v, record->sequence), record->hash, KMS_AUDIT_HASH_HEX);
    return v->anchored.sequence != 0 ? check_anchor(v, record) : KMS_OK;
}

/* Whoever takes all heads away, and makes the hashes anew, leaves a log that is good but for this. */
static kms_err check_unsigned(struct kms_verify *v)
{
    char words[200];
    uint64_t count = v->report.unsigned_records, most = v->check->max_unsigned;
    if (most == 0 || count <= most) return KMS_OK;
    snprintf(words, sizeof words,
             "no signed head covers the last %" PRIu64 " records, from sequence %" PRIu64 " on, but %" PRIu64
             " at most may be so: heads were removed, or the token did not sign",
             count, v->head.sequence - count + 1, most);
    return kms_verify_fault(v, v->scan.line_number, "unsigned", words);
}

kms_err kms_verify_heads_end(struct kms_verify *v)
{
    char words[200];
    v->report.unsigned_records = v->head.sequence - v->report.signed_sequence;
    if (v->report.signed_sequence < v->report.first_sequence) v->report.unsigned_records = v->report.records;
    if (v->anchored.sequence == 0) return check_unsigned(v);
    snprintf(words, sizeof words,
             "the log ends here with sequence %" PRIu64 ", but the head of sequence %" PRIu64
             " was anchored: records are missing from its end",
             v->head.sequence, v->anchored.sequence);
    return kms_verify_fault(v, v->scan.line_number, "removed", words);
}

/* ---- begin and end ---- */

static kms_err read_keys(struct kms_verify *v)
{
    KMS_OWN_BUF pem = {0};
    const char *file = v->check->key_file;
    KMS_TRY(kms_read_file(file, PEM_BYTES, &pem, v->why));
    kms_err err = kms_audit_keys_from_pem(kms_buf_view(&pem), &v->keys);
    if (kms_failed(err)) kms_why_set(v->why, "%s: no public key of signed heads (PEM, P-256)", file);
    return err;
}

kms_err kms_verify_heads_open(struct kms_verify *v)
{
    v->recent = malloc(KMS_AUDIT_HEAD_BEHIND * sizeof v->recent[0]);
    if (v->recent == NULL) return KMS_FAIL(NO_MEMORY);
    if (v->check->key_file != NULL) KMS_TRY(read_keys(v));
    v->report.signatures_checked = v->keys != NULL;
    if (v->check->anchor_file == NULL) return KMS_OK;
    v->anchor = fopen(v->check->anchor_file, "re");
    if (v->anchor == NULL) {
        kms_why_set(v->why, "%s: %s", v->check->anchor_file, strerror(errno));
        return KMS_FAIL(IO);
    }
    return next_anchor(v);
}

void kms_verify_heads_close(struct kms_verify *v)
{
    if (v->anchor != NULL) fclose(v->anchor);
    kms_audit_keys_free(v->keys);
    free(v->recent);
}
