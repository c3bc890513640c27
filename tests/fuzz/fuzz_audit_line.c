/* Fuzzes what reads the audit log back, the input being a file of it, and what escapes texts on their way
 * in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "kmsd/audit/head.h"
#include "kmsd/audit/json.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/scan.h"
#include "kmsd/audit/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
    if (!holds) abort();
}

/* Queries of every kind look at the line; none looks behind it. */
static void asked_for(struct kms_bytes line)
{
    static kms_audit_query *queries[2];
    struct kms_audit_filter all = {0}, some = {.terms = {[KMS_AUDIT_BY_KEY] = "k",
                                                         [KMS_AUDIT_BY_ACTION] = "kms:*",
                                                         [KMS_AUDIT_BY_OUTCOME] = "failed"}};
    if (queries[0] == NULL) {
        require(!kms_failed(kms_audit_query_new(&all, &queries[0], NULL)));
        require(!kms_failed(kms_audit_query_new(&some, &queries[1], NULL)));
    }
    enum kms_audit_match any = kms_audit_query_match(queries[0], line);
    require(any != KMS_AUDIT_OTHER);
    require(any == KMS_AUDIT_MATCH || kms_audit_query_match(queries[1], line) != KMS_AUDIT_MATCH);
}

static void one_line(kms_digest *digest, struct kms_bytes line)
{
    asked_for(line);
    struct kms_audit_record record;
    struct kms_audit_opening opening;
    struct kms_audit_state state = {0};
    bool same;
    if (kms_audit_opening_read(line, &opening, &state)) require(state.open_count <= KMS_AUDIT_OPEN_ATTEMPTS);
    if (!kms_audit_scan_record(line, &record)) return;
    const char *start = (const char *)line.ptr, *end = start + line.len;
    require(record.sequence > 0 && record.prev > start && record.prev + KMS_AUDIT_HASH_HEX < end);
    require(record.hash > record.prev && record.hash + KMS_AUDIT_HASH_HEX + 2 == end);
    require(!kms_failed(kms_audit_check_record(digest, &record, &same)));
    kms_ignore(kms_audit_state_read(&state, line, &record)); /* most inputs are not what a writer writes */
    require(state.open_count <= KMS_AUDIT_OPEN_ATTEMPTS);
}

/* Lines and tail together are the file; a line has neither NUL nor line feed. */
static void whole_file(kms_digest *digest, struct kms_audit_scan *scan, int fd, size_t len)
{
    char name[32];
    size_t seen = 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    require(!kms_failed(kms_audit_scan_file(scan, -1, name, NULL)));
    for (;;) {
        struct kms_bytes line;
        enum kms_audit_step step;
        enum kms_audit_tail tail;
        uint64_t bytes;
        require(!kms_failed(kms_audit_scan_next(scan, &line, &step)));
        if (step == KMS_AUDIT_OVERLONG) return;
        if (step == KMS_AUDIT_LINE) {
            require(line.len == 0 ||
                    (memchr(line.ptr, 0, line.len) == NULL && memchr(line.ptr, '\n', line.len) == NULL));
            one_line(digest, line);
            seen += line.len + 1;
            continue;
        }
        require(kms_audit_scan_position(scan) == seen);
        require(!kms_failed(kms_audit_scan_tail(scan, &tail, &bytes)));
        require(seen + bytes <= len && (tail == KMS_AUDIT_TAIL_CLOSED) == (seen == len));
        return;
    }
}

static void as_text(struct kms_bytes input)
{
    static uint8_t out[KMS_AUDIT_RECORD_BYTES];
    for (size_t max_len = 0; max_len < 64; max_len += 7) {
        struct kms_audit_json json = {.at = out, .end = out + sizeof out};
        kms_audit_json_text(&json, input, max_len);
        require(!json.overflow && json.at - out <= (ptrdiff_t)max_len + 5);
        require(kms_utf8_valid(kms_bytes_of(out, (size_t)(json.at - out))));
        for (const uint8_t *at = out; at < json.at; at++) require(*at >= 0x20 && *at != 0x7f);
    }
}

/* Lines of anchor files come from elsewhere. */
static void as_head(struct kms_bytes input)
{
    char instance[KMS_AUDIT_HEAD_INSTANCE], text[KMS_AUDIT_HEAD_TEXT];
    struct kms_audit_signed_head head;
    if (!kms_audit_head_read(input, instance, &head)) return;
    require(head.sequence > 0 && strlen(head.hash) == KMS_AUDIT_HASH_HEX);
    require(kms_audit_head_text(instance, &head, text).len < sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static kms_digest *digest;
    static struct kms_audit_scan scan;
    if (digest == NULL)
        require(!kms_failed(kms_digest_new(&digest)) && !kms_failed(kms_audit_scan_new(&scan)));
    KMS_OWN_FD fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    whole_file(digest, &scan, fd, len);
    as_text(kms_bytes_of(data, len));
    as_head(kms_bytes_of(data, len));
    return 0;
}
