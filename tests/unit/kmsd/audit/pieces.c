/* Lines as text: a forger needs no more. */
#include "tests/unit/kmsd/audit/pieces.h"

#include <stdio.h>
#include <stdlib.h>

static void sign_it(kms_audit *audit)
{
    struct kms_audit_head of;
    struct kms_audit_signed_head head;
    kms_audit_head(audit, &of.sequence, of.hash);
    signer_sign("t", &of, &head);
    const struct kms_audit_event event = {.kind = KMS_AUDIT_HEAD, .head = &head};
    KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
    KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
}

void pieces_log(char dir[128])
{
    log_dir(dir);
    for (unsigned file = 1; file <= 2; file++) {
        kms_audit *audit = log_open(dir, LOG_SEGMENT_BYTES);
        log_calls(audit, file == 1 ? 2 : 1);
        sign_it(audit);
        log_calls(audit, 2);
        if (file == 2) sign_it(audit);
        kms_audit_close(audit);
    }
}

void pieces_take(const char *dir, struct pieces *pieces)
{
    pieces->count = 0;
    for (uint32_t file = 1; file <= 2; file++) {
        KMS_OWN_BUF buf = {0};
        log_read(dir, file, &buf);
        KMS_ASSERT_OK_FATAL(kms_buf_append(&buf, "", 1));
        for (char *at = (char *)buf.data, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
            struct piece *piece = &pieces->line[pieces->count++];
            piece->file = file;
            snprintf(piece->text, sizeof piece->text, "%.*s", (int)(end - at), at);
        }
    }
}

void pieces_put(const char *dir, const struct pieces *pieces)
{
    for (uint32_t file = 1; file <= 2; file++) {
        KMS_OWN_BUF buf = {0};
        for (size_t i = 0; i < pieces->count; i++)
            if (pieces->line[i].file == file)
                KMS_ASSERT_OK_FATAL(kms_buf_print(&buf, "%s\n", pieces->line[i].text));
        log_write(dir, file, buf.data, buf.len);
    }
}

void pieces_seal(struct pieces *pieces, size_t from)
{
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    struct kms_audit_record record;
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    for (size_t i = from > 0 ? from - 1 : 0; i < pieces->count; i++) {
        char *text = pieces->line[i].text;
        CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_text(text), &record));
        if (i >= from) {
            uint8_t body[LINE_BYTES], line[LINE_BYTES + KMS_AUDIT_FRAME_BYTES];
            size_t at = (size_t)((const char *)record.kind.ptr - text) - (sizeof ",\"kind\":\"" - 1), len;
            kms_copy(body, text + at, record.hashed.len - at);
            KMS_ASSERT_OK_FATAL(
                kms_audit_seal(&chain, kms_now_us(), kms_bytes_of(body, record.hashed.len - at), line, &len));
            snprintf(text, LINE_BYTES, "%.*s", (int)len - 1, (const char *)line);
        } else {
            kms_audit_head_of(&record, &chain.head);
        }
    }
    kms_digest_free(chain.digest);
}

void pieces_replace(struct pieces *pieces, size_t line, const char *old, const char *new)
{
    char *text = pieces->line[line].text, *at = strstr(text, old), rest[LINE_BYTES];
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    snprintf(rest, sizeof rest, "%s", at + strlen(old));
    snprintf(at, LINE_BYTES - (size_t)(at - text), "%s%s", new, rest);
}

void pieces_remove(struct pieces *pieces, size_t line)
{
    pieces->count--;
    memmove(&pieces->line[line], &pieces->line[line + 1], (pieces->count - line) * sizeof pieces->line[0]);
}

void pieces_insert(struct pieces *pieces, size_t before, size_t copy_of)
{
    struct piece copy = pieces->line[copy_of];
    copy.file = pieces->line[before].file;
    memmove(&pieces->line[before + 1], &pieces->line[before],
            (pieces->count - before) * sizeof pieces->line[0]);
    pieces->line[before] = copy;
    pieces->count++;
}

void pieces_head(const struct pieces *pieces, size_t line, struct kms_audit_head *ret_head)
{
    struct kms_audit_record record;
    CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_text(pieces->line[line].text), &record));
    kms_audit_head_of(&record, ret_head);
}

void pieces_sign_anew(struct pieces *pieces, size_t line, const char *instance, size_t over)
{
    struct kms_audit_head of;
    struct kms_audit_signed_head head;
    char member[700], *text = pieces->line[line].text;
    pieces_head(pieces, over, &of);
    signer_sign(instance, &of, &head);
    snprintf(member, sizeof member,
             "\"head\":{\"sequence\":%llu,\"hash\":\"%s\",\"key_id\":\"%s\",\"signature\":\"%s\"}",
             (unsigned long long)head.sequence, head.hash, head.key_id, head.signature);
    char *from = strstr(text, "\"head\":{"), old[700];
    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    snprintf(old, sizeof old, "%.*s", (int)(strchr(from, '}') + 1 - from), from);
    pieces_replace(pieces, line, old, member);
}

void pieces_write_file(const char *path, struct kms_bytes data)
{
    FILE *file = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(data.ptr, 1, data.len, file), data.len);
    fclose(file);
}

const char *pieces_key(void)
{
    static char key_path[200];
    snprintf(key_path, sizeof key_path, "%s/key.pem", kms_temp_dir());
    pieces_write_file(key_path, signer_pem());
    return key_path;
}

void pieces_expect(const struct kms_audit_check *check, const char *want)
{
    struct kms_audit_report report = {.records = 0};
    struct kms_why why = {""};
    kms_err err = kms_audit_verify(check, &report, &why);
    bool same = want == NULL ? !kms_failed(err) : strncmp(why.text, want, strlen(want)) == 0;
    if (!same) fprintf(stderr, "\nwant: %s\ngot:  %s\n", want != NULL ? want : "good", why.text);
    CU_ASSERT_TRUE(same);
    if (want != NULL) CU_ASSERT_TRUE(kms_is(err, KMS_E_CORRUPT));
}
