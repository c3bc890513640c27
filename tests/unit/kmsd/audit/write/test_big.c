/*
 * A long log takes no more memory than a short one, plain or compressed. KMS_AUDIT_BIG_MIB=10240 in the
 * environment makes it 10 GiB long (some minutes, and as much disk below $TMPDIR); 32 without it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmsd/audit/segment.h"
#include "kmsd/audit/write/pack.h"
#include "tests/unit/kmsd/audit/log.h"

enum { AT_ONCE = 500, GROWTH_MIB = 12 };
#define MIB (UINT64_C(1) << 20)

/* AddressSanitizer would keep hundreds of megabytes of freed memory, as much more as more is done. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

static uint64_t resident_bytes(void)
{
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t big_bytes(void)
{
    const char *text = getenv("KMS_AUDIT_BIG_MIB");
    return (text != NULL ? strtoull(text, NULL, 10) : 32) * MIB;
}

static uint64_t used_bytes(const char *dir)
{
    uint64_t done, total;
    KMS_OWN(kms_audit_reader) reader = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    kms_audit_reader_progress(reader, &done, &total);
    return total;
}

/* Through the page cache: what is tested is reading. */
static void write_log(const char *dir, uint64_t bytes)
{
    const uint64_t segment_bytes = bytes / 8 / 4096 * 4096;
    const struct kms_audit_options options = {
        .dir = dir, .instance = "t", .segment_bytes = segment_bytes, .cached = true};
    kms_audit *audit = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_open(&options, &audit, NULL));
    for (uint64_t written = 0; written < bytes; written += AT_ONCE * UINT64_C(400)) {
        for (unsigned i = 0; i < AT_ONCE; i++) log_call(audit, i);
        KMS_ASSERT_OK_FATAL(kms_audit_commit(audit));
    }
    kms_audit_close(audit);
}

static void read_all(const char *dir, uint64_t *ret_records)
{
    KMS_OWN(kms_audit_reader) reader = NULL;
    KMS_ASSERT_OK_FATAL(kms_audit_reader_open(dir, "t", &reader, NULL));
    *ret_records = 0;
    for (bool more = true; more; *ret_records += more) {
        struct kms_audit_line line;
        KMS_ASSERT_OK_FATAL(kms_audit_reader_next(reader, &line, &more, NULL));
    }
    KMS_ASSERT_OK_FATAL(kms_audit_reader_tail(reader, 10, NULL));
}

/* Verify, read to the end, tail; then open and go on. */
static uint64_t use(const char *dir)
{
    uint64_t records, verified = log_good(dir);
    read_all(dir, &records);
    CU_ASSERT_EQUAL(records, verified);
    kms_audit_close(log_open(dir, LOG_SEGMENT_BYTES));
    return verified;
}

/* Eight files, plain and then compressed: how much the process has grown by it. */
static uint64_t growth(uint64_t bytes, uint64_t *ret_records)
{
    char dir[128];
    KMS_OWN_FD dir_fd = -1;
    uint64_t before = resident_bytes();
    log_dir(dir);
    write_log(dir, bytes);
    CU_ASSERT_TRUE(used_bytes(dir) >= bytes);
    KMS_ASSERT_OK_FATAL(kms_audit_open_dir(dir, &dir_fd, NULL));
    *ret_records = use(dir);
    for (uint32_t number = 1; number < 8; number++)
        KMS_ASSERT_OK_FATAL(kms_audit_pack_file(dir_fd, "t", number, NULL, NULL));
    CU_ASSERT_EQUAL(use(dir), *ret_records + 1);
    uint64_t after = resident_bytes();
    return after > before ? after - before : 0;
}

/* The same is done with both: what is allocated once shows in the first. */
static void constant_memory(void)
{
    uint64_t few, many, small = growth(4 * MIB, &few), big = growth(big_bytes(), &many);
    CU_ASSERT_TRUE(many > 6 * few);
    CU_ASSERT_TRUE(big < small + GROWTH_MIB * MIB);
    if (big >= small + GROWTH_MIB * MIB)
        fprintf(stderr, "\n%llu and %llu bytes more\n", (unsigned long long)small, (unsigned long long)big);
}

KMS_TEST_MAIN("audit/big", {"memory is constant", constant_memory})
