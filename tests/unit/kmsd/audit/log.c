/* Small logs for tests. */
#include "tests/unit/kmsd/audit/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void log_dir(char dir[128])
{
    static unsigned number;
    snprintf(dir, 128, "%s/%u", kms_temp_dir(), ++number);
    CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0);
}

kms_err log_try_open(const char *dir, kms_audit **ret_audit, struct kms_why *why)
{
    struct kms_audit_options options = {.dir = dir, .instance = "t", .segment_bytes = LOG_SEGMENT_BYTES};
    return kms_audit_open(&options, ret_audit, why);
}

kms_audit *log_open(const char *dir, uint64_t segment_bytes)
{
    struct kms_audit_options options = {.dir = dir, .instance = "t", .segment_bytes = segment_bytes};
    struct kms_why why = {""};
    kms_audit *audit = NULL;
    kms_err err = kms_audit_open(&options, &audit, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why.text);
    KMS_ASSERT_OK_FATAL(err);
    return audit;
}

struct kms_audit_event log_event(unsigned n)
{
    static char operation[32];
    static const struct kms_audit_pair context[] = {
        {{(const uint8_t *)"tenant", 6}, {(const uint8_t *)"t-0001", 6}}};
    snprintf(operation, sizeof operation, "Op%u", n);
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_CALL,
        .principal = "spiffe://example.org/app",
        .operation = operation,
        .access = {{.action = "kms:Decrypt",
                    .key_version = 1,
                    .context = context,
                    .context_count = 1,
                    .decision = "allow"}},
        .access_count = 1,
        .started_us = 1,
    };
    event.request_id.bytes[0] = 1;
    return event;
}

void log_call(kms_audit *audit, unsigned n)
{
    struct kms_audit_event event = log_event(n);
    KMS_ASSERT_OK_FATAL(kms_audit_append(audit, &event));
}

void log_calls(kms_audit *audit, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        log_call(audit, i);
        KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
    }
}

uint64_t log_head(const kms_audit *audit)
{
    uint64_t sequence;
    char hash[2 * KMS_DIGEST_BYTES + 1];
    kms_audit_head(audit, &sequence, hash);
    return sequence;
}

void log_name(uint32_t number, char name[64])
{
    snprintf(name, 64, "t-%08u.jsonl", number);
}

static void path_of(const char *dir, uint32_t number, char path[200])
{
    char name[64];
    log_name(number, name);
    snprintf(path, 200, "%s/%s", dir, name);
}

void log_read(const char *dir, uint32_t number, kms_buf *buf)
{
    char path[200];
    path_of(dir, number, path);
    kms_buf_free(buf);
    kms_ignore(kms_read_file(path, 1 << 30, buf, NULL)); /* no file: nothing in it */
    while (buf->len > 0 && buf->data[buf->len - 1] == 0) buf->len--;
}

void log_write(const char *dir, uint32_t number, const void *data, size_t len)
{
    char path[200];
    path_of(dir, number, path);
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL_FATAL(write(fd, data, len), (ssize_t)len);
}

void log_poke(const char *dir, uint32_t number, size_t at, uint8_t value)
{
    char path[200];
    path_of(dir, number, path);
    KMS_OWN_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(pwrite(fd, &value, 1, (off_t)at), 1);
}

bool log_exists(const char *dir, uint32_t number)
{
    char path[200];
    path_of(dir, number, path);
    return access(path, F_OK) == 0;
}

unsigned log_files(const char *dir)
{
    unsigned count = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
        count += entry->d_name[0] == 't';
    if (d != NULL) closedir(d);
    return count;
}

kms_err log_verify(const char *dir, struct kms_audit_report *ret_report, struct kms_why *why)
{
    return kms_audit_verify(&(struct kms_audit_check){.dir = dir, .instance = "t"}, ret_report, why);
}

uint64_t log_good(const char *dir)
{
    struct kms_audit_report report = {0};
    struct kms_why why = {""};
    kms_err err = log_verify(dir, &report, &why);
    if (kms_failed(err)) fprintf(stderr, "\n%s\n", why.text);
    KMS_ASSERT_OK(err);
    return report.records;
}

unsigned log_count(const char *dir, const char *text)
{
    KMS_OWN(kms_audit_reader) reader = NULL;
    unsigned count = 0;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    for (bool more = true; more;) {
        struct kms_audit_line line;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
        if (more && memmem(line.text.ptr, line.text.len, text, strlen(text)) != NULL) count++;
    }
    return count;
}
