/*
 * What the audit log costs: a record, a commit of 1 and of 32 records, verify, and queries.
 *
 *     bench-audit DIRECTORY    the file system to measure; its files are removed again
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kmsd/audit/audit.h"
#include "kmsd/audit/chain.h"
#include "kmsd/audit/encode.h"
#include "kmsd/audit/query.h"
#include "kmsd/audit/reader.h"

enum { BATCH_MAX = 32 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(kms_err err, const struct kms_why *why)
{
    if (!kms_failed(err)) return;
    fprintf(stderr, "%s: %s\n", kms_err_reason(err), why->text);
    exit(1);
}

static struct kms_audit_event decrypt_event(void)
{
    static struct kms_audit_pair context[2];
    context[0] = (struct kms_audit_pair){kms_bytes_text("tenant"), kms_bytes_text("t-0001")};
    context[1] = (struct kms_audit_pair){kms_bytes_text("purpose"), kms_bytes_text("env")};
    struct kms_audit_event event = {
        .kind = KMS_AUDIT_CALL,
        .principal = "spiffe://example.org/ns/prod/sa/app-1",
        .principal_source = "mtls-uri",
        .peer = "ipv4:127.0.0.1:40512",
        .service = "kms.v1.CryptoService",
        .operation = "Decrypt",
        .class = "usage",
        .access = {{.action = "kms:Decrypt",
                    .key_id = "0f8fad5b-d9cb-469f-a165-70867728950e",
                    .key_named = kms_bytes_text("alias/customer-data-key"),
                    .key_version = 3,
                    .context = context,
                    .context_count = 2,
                    .decision = "allow",
                    .statement = "AllowAppUsage"}},
        .access_count = 1,
        .stage = "finish",
        .started_us = kms_now_us() - 400,
        .client = kms_bytes_text("libkms/0.1 grpc-c/32.0.0"),
    };
    memset(event.request_id.bytes, 7, sizeof event.request_id.bytes);
    return event;
}

static void bench_record(void)
{
    enum { RECORDS = 300000 };
    static uint8_t body[KMS_AUDIT_BODY_BYTES], line[KMS_AUDIT_RECORD_BYTES];
    struct kms_audit_event event = decrypt_event();
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    struct kms_why why = {"record"};
    size_t body_len = 0, line_len = 0;
    check(kms_digest_new(&chain.digest), &why);
    uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < RECORDS; i++)
        check(kms_audit_encode(&event, "kms-1", kms_now_us(), body, &body_len), &why);
    uint64_t middle = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < RECORDS; i++)
        check(kms_audit_seal(&chain, kms_now_us(), kms_bytes_of(body, body_len), line, &line_len), &why);
    uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    printf("record of %zu bytes: encode %llu ns, chain %llu ns (CPU)\n", line_len,
           (unsigned long long)(middle - start) / RECORDS, (unsigned long long)(end - middle) / RECORDS);
    kms_digest_free(chain.digest);
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void bench_commit(kms_audit *audit, unsigned batch, unsigned commits)
{
    struct kms_audit_event event = decrypt_event();
    struct kms_why why = {"commit"};
    uint64_t *took_ns = calloc(commits, sizeof *took_ns), appending_ns = 0;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < commits; i++) {
        uint64_t start = clock_ns(CLOCK_MONOTONIC);
        for (unsigned k = 0; k < batch; k++) check(kms_audit_append(audit, &event), &why);
        uint64_t middle = clock_ns(CLOCK_MONOTONIC);
        check(kms_audit_commit(audit), &why);
        took_ns[i] = clock_ns(CLOCK_MONOTONIC) - middle;
        appending_ns += middle - start;
    }
    cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    qsort(took_ns, commits, sizeof *took_ns, by_size);
    printf("batch of %2u: append %llu ns a record, commit p50 %.1f us, p99 %.1f us, most %.1f us; %llu ns of "
           "CPU a record\n",
           batch, (unsigned long long)appending_ns / commits / batch, (double)took_ns[commits / 2] / 1e3,
           (double)took_ns[commits - commits / 100 - 1] / 1e3, (double)took_ns[commits - 1] / 1e3,
           (unsigned long long)cpu / commits / batch);
    free(took_ns);
}

static void bench_verify(const char *dir)
{
    for (int i = 0; i < 3; i++) {
        struct kms_audit_report report;
        struct kms_why why = {""};
        uint64_t start = clock_ns(CLOCK_MONOTONIC);
        check(kms_audit_verify(&(struct kms_audit_check){.dir = dir, .instance = "bench"}, &report, &why),
              &why);
        double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9;
        struct rusage used;
        getrusage(RUSAGE_SELF, &used);
        printf("verify: %llu records, %llu files: %.0f records/s, %.0f MB/s, at most %ld MiB of memory\n",
               (unsigned long long)report.records, (unsigned long long)report.files,
               (double)report.records / seconds, (double)report.bytes / seconds / 1e6, used.ru_maxrss / 1024);
    }
}

/* Turned away by bytes, taken apart and turned away, taken apart and found. */
static void bench_query(const char *dir)
{
    static const struct {
        const char *what;
        enum kms_audit_term by;
        const char *text;
    } rows[] = {{"nothing matches", KMS_AUDIT_BY_PRINCIPAL, "spiffe://example.org/nobody"},
                {"nothing matches, every record is parsed", KMS_AUDIT_BY_OUTCOME, "failed"},
                {"everything matches", KMS_AUDIT_BY_KEY, "alias/customer-data-key"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kms_audit_filter filter = {0};
        struct kms_why why = {""};
        kms_audit_query *query = NULL;
        kms_audit_reader *reader = NULL;
        uint64_t records = 0, found = 0, start = clock_ns(CLOCK_MONOTONIC);
        filter.terms[rows[i].by] = rows[i].text;
        check(kms_audit_query_new(&filter, &query, &why), &why);
        check(kms_audit_reader_open(dir, "bench", &reader, &why), &why);
        for (bool more = true; more; records += more) {
            struct kms_audit_line line;
            check(kms_audit_reader_next(reader, &line, &more, &why), &why);
            if (more) found += kms_audit_query_match(query, line.text) == KMS_AUDIT_MATCH;
        }
        double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9;
        printf("query, %s: %llu of %llu, %.0f records/s\n", rows[i].what, (unsigned long long)found,
               (unsigned long long)records, (double)records / seconds);
        kms_audit_reader_close(reader);
        kms_audit_query_free(query);
    }
}

static void remove_files(const char *dir)
{
    DIR *d = opendir(dir);
    for (const struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
        if (strncmp(entry->d_name, "bench-", 6) == 0 || strcmp(entry->d_name, ".bench.lock") == 0)
            unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL) closedir(d);
}

int main(int argc, char **argv)
{
    struct kms_audit_options options = {
        .dir = argc > 1 ? argv[1] : ".", .instance = "bench", .segment_bytes = 64 << 20};
    struct kms_why why = {""};
    kms_audit *audit = NULL;
    bench_record();
    check(kms_audit_open(&options, &audit, &why), &why);
    bench_commit(audit, 1, 20000);
    bench_commit(audit, BATCH_MAX, 20000);
    kms_audit_close(audit);
    bench_verify(options.dir);
    bench_query(options.dir);
    remove_files(options.dir);
    return 0;
}
