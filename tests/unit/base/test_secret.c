/* Locked memory: wiped when given back, bounded, and never handed out unlocked. */
#include "base/secret.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

/* The sanitizers replace mlock by nothing. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0) return false;
    return true;
}

static void lengths(void)
{
    static const struct {
        size_t len;
        enum kms_code code;
    } cases[] = {{0, KMS_E_INVALID_ARGUMENT},
                 {1, KMS_E_OK},
                 {32, KMS_E_OK},
                 {65536, KMS_E_OK},
                 {KMS_SECRET_MAX_BYTES - 64, KMS_E_OK},
                 {KMS_SECRET_MAX_BYTES, KMS_E_INVALID_ARGUMENT},
                 {SIZE_MAX, KMS_E_INVALID_ARGUMENT}};
    for (size_t i = 0; i < KMS_COUNT(cases); i++) {
        KMS_OWN(kms_secret) s = NULL;
        CU_ASSERT_EQUAL(kms_secret_new(cases[i].len, &s).code, cases[i].code);
        CU_ASSERT_EQUAL(s != NULL, cases[i].code == KMS_E_OK);
        if (s == NULL) continue;
        CU_ASSERT_EQUAL(kms_secret_len(s), cases[i].len);
        CU_ASSERT(all_zero(kms_secret_data(s), cases[i].len));
        memset(kms_secret_data(s), 0xa5, cases[i].len);
    }
    CU_ASSERT_PTR_NULL(kms_locked_alloc(0));
    CU_ASSERT_PTR_NULL(kms_locked_alloc(KMS_LOCKED_MAX_BYTES + 1));
}

/* Slabs stay mapped, so the memory can be looked at after it was given back; its first bytes link the free
 * list. */
static void wiped_on_free(void)
{
    uint8_t *p = kms_locked_alloc(4096);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memset(p, 0x5a, 4096);
    kms_locked_free(p, 4096);
    CU_ASSERT(all_zero(p + sizeof(void *), 4096 - sizeof(void *)));
    uint8_t *again = kms_locked_alloc(4096);
    CU_ASSERT_PTR_EQUAL(again, p);
    CU_ASSERT(all_zero(again, 4096));
    kms_locked_free(again, 4096);
    kms_locked_free(NULL, 10);
    kms_secret_free(NULL);
}

static void blocks_do_not_overlap(void)
{
    enum { COUNT = 500 };
    static const size_t sizes[] = {1, 63, 64, 65, 200, 1000};
    uint8_t *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = kms_locked_alloc(sizes[i % KMS_COUNT(sizes)]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(blocks[i]);
        memset(blocks[i], (int)(i & 0xff), sizes[i % KMS_COUNT(sizes)]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t len = sizes[i % KMS_COUNT(sizes)];
        CU_ASSERT(blocks[i][0] == (i & 0xff) && blocks[i][len - 1] == (i & 0xff));
        kms_locked_free(blocks[i], len);
    }
}

/* mmap, mlock and both madvise calls fail in turn: no memory comes out, none stays mapped. */
static void fails_closed(void)
{
    int failures = 0;
    FAULTS_EACH_OF (FAULT_PAGES) {
        size_t before = kms_locked_used();
        /* The largest class: nothing of it is free, because no other test gives such a block back before this
         * one. */
        void *p = kms_locked_alloc(KMS_SECRET_MAX_BYTES / 2 + 1);
        CU_ASSERT_EQUAL(p == NULL, faults_hit());
        CU_ASSERT_EQUAL(kms_locked_used(), faults_hit() ? before : before + KMS_SECRET_MAX_BYTES);
        failures += faults_hit();
        kms_locked_free(p, KMS_SECRET_MAX_BYTES / 2 + 1);
    }
    CU_ASSERT_EQUAL(failures, 4);
}

/* Large blocks are mapped one by one, and given back to the system. */
static void large_blocks_go_back(void)
{
    size_t before = kms_locked_used();
    uint8_t *p = kms_locked_alloc(KMS_SECRET_MAX_BYTES + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    CU_ASSERT_EQUAL(kms_locked_used(), before + KMS_SECRET_MAX_BYTES + 4096);
    CU_ASSERT(p[0] == 0 && p[KMS_SECRET_MAX_BYTES] == 0);
    memset(p, 0xa5, KMS_SECRET_MAX_BYTES + 1);
    kms_locked_free(p, KMS_SECRET_MAX_BYTES + 1);
    CU_ASSERT_EQUAL(kms_locked_used(), before);
    kms_locked_limit(before + KMS_SECRET_MAX_BYTES);
    CU_ASSERT_PTR_NULL(kms_locked_alloc(KMS_SECRET_MAX_BYTES + 1));
    kms_locked_limit(0);
}

static void the_limit_holds(void)
{
    kms_locked_limit(kms_locked_used());
    void *blocks[4] = {0};
    size_t got = 0;
    while (got < KMS_COUNT(blocks) && (blocks[got] = kms_locked_alloc(100 * 1024)) != NULL) got++;
    CU_ASSERT(got < KMS_COUNT(blocks));
    KMS_OWN(kms_secret) none = NULL;
    KMS_ASSERT_CODE(kms_secret_new(100 * 1024, &none), NO_MEMORY);
    CU_ASSERT_PTR_NULL(none);
    for (size_t i = 0; i < got; i++) kms_locked_free(blocks[i], 100 * 1024);
    kms_locked_limit(0);
    void *p = kms_locked_alloc(100 * 1024);
    CU_ASSERT_PTR_NOT_NULL(p);
    kms_locked_free(p, 100 * 1024);
}

/* What the kernel says about the mapping that holds p: its flags as in proc(5), smaps. */
static void vm_flags(const void *p, char *flags, size_t cap)
{
    char line[512];
    bool inside = false;
    flags[0] = '\0';
    FILE *maps = fopen("/proc/self/smaps", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)p >= from && (unsigned long)p < to;
        if (inside && strncmp(line, "VmFlags:", 8) == 0) snprintf(flags, cap, "%s", line);
    }
    fclose(maps);
}

static void locked_and_kept_out_of_dumps(void)
{
    char flags[512];
    KMS_OWN(kms_secret) s = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_new(32, &s));
    vm_flags(kms_secret_data(s), flags, sizeof flags);
    if (flags[0] == '\0') return;                         /* a kernel without VmFlags */
    CU_ASSERT(SANITIZED || strstr(flags, " lo") != NULL); /* locked */
    CU_ASSERT_PTR_NOT_NULL(strstr(flags, " dd"));         /* not in core dumps */
    CU_ASSERT_PTR_NOT_NULL(strstr(flags, " wf"));         /* wiped on fork */
}

static void a_forked_child_sees_nothing(void)
{
    KMS_OWN(kms_secret) s = NULL;
    KMS_ASSERT_OK_FATAL(kms_secret_new(32, &s));
    memset(kms_secret_data(s), 0x77, 32);
    const uint8_t *data = kms_secret_data(s);
    pid_t child = fork();
    if (child == 0) _exit(all_zero(data, 32) ? 0 : 1);
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(data[31], 0x77);
}

static void *churn(void *failed)
{
    for (int i = 0; i < 5000; i++) {
        uint8_t *p = kms_locked_alloc(48);
        if (p == NULL || !all_zero(p, 48)) *(bool *)failed = true;
        if (p != NULL) memset(p, 0xee, 48);
        kms_locked_free(p, 48);
    }
    return NULL;
}

static void threads_share_the_pool(void)
{
    pthread_t threads[4];
    bool failed[4] = {false};
    for (size_t i = 0; i < KMS_COUNT(threads); i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, churn, &failed[i]), 0);
    for (size_t i = 0; i < KMS_COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_FALSE(failed[i]);
    }
}

KMS_TEST_MAIN("base/secret", {"fails closed when memory cannot be locked", fails_closed},
              {"lengths", lengths}, {"wiped on free", wiped_on_free},
              {"blocks do not overlap", blocks_do_not_overlap},
              {"large blocks go back", large_blocks_go_back}, {"the limit holds", the_limit_holds},
              {"locked, kept out of dumps", locked_and_kept_out_of_dumps},
              {"a forked child sees nothing", a_forked_child_sees_nothing},
              {"threads share the pool", threads_share_the_pool})
