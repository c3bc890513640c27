/* The frame of a line, against a vector made by other tools; and what is not a line. */
#include "kmsd/audit/chain.h"

#include <stdlib.h>

#include "tests/harness/suite.h"

/* Hashes by sha256sum, as chain.h says. */
static const char first[] = "{\"seq\":1,\"time\":\"2026-11-22T12:00:00.123456Z\",\"prev\":"
                            "\"0000000000000000000000000000000000000000000000000000000000"
                            "000000\",\"kind\":\"call\",\"operation\":\"Decrypt\",\"hash\":"
                            "\"c7684d3472b1b749718fbe5156ed9ea619fb706f899478cfa99912be7cc3570c\"}\n";
static const char second[] = "{\"seq\":2,\"time\":\"2026-11-22T12:00:00.123457Z\",\"prev\":"
                             "\"c7684d3472b1b749718fbe5156ed9ea619fb706f899478cfa99912be7cc3570c"
                             "\",\"kind\":\"service\",\"hash\":"
                             "\"6b8f3bf7286deb482ea33f6e7b3d887258478259228c0300f27b8a1da1b70d4a\"}\n";

enum { NOON_US_SECOND = 1795348800 };
#define NOON_US (UINT64_C(1000000) * NOON_US_SECOND)

static struct kms_audit_chain new_chain(void)
{
    struct kms_audit_chain chain = {.head = kms_audit_no_head};
    KMS_ASSERT_OK_FATAL(kms_digest_new(&chain.digest));
    return chain;
}

static size_t seal(struct kms_audit_chain *chain, uint64_t time_us, const char *body, char line[2048])
{
    size_t len = 0;
    KMS_ASSERT_OK_FATAL(kms_audit_seal(chain, time_us, kms_bytes_text(body), (uint8_t *)line, &len));
    line[len] = '\0';
    CU_ASSERT_TRUE(len <= strlen(body) + KMS_AUDIT_FRAME_BYTES);
    return len;
}

static void vectors(void)
{
    struct kms_audit_chain chain = new_chain();
    char line[2048];
    seal(&chain, NOON_US + 123456, ",\"kind\":\"call\",\"operation\":\"Decrypt\"", line);
    CU_ASSERT_STRING_EQUAL(line, first);
    seal(&chain, NOON_US + 123457, ",\"kind\":\"service\"", line);
    CU_ASSERT_STRING_EQUAL(line, second);
    CU_ASSERT_EQUAL(chain.head.sequence, 2);
    kms_digest_free(chain.digest);
}

static void time_is_that_of_the_clock_module(void)
{
    static const uint64_t times[] = {
        0, 1, 999999, 1000000, NOON_US, NOON_US + 999999, NOON_US + 1000000, NOON_US + 1000001};
    struct kms_audit_chain chain = new_chain();
    for (size_t i = 0; i < KMS_COUNT(times); i++) {
        char line[2048], want[KMS_TIME_TEXT];
        struct kms_audit_record record;
        size_t len = seal(&chain, times[i], ",\"kind\":\"call\"", line);
        kms_time_text(times[i], want);
        CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_of(line, len - 1), &record));
        CU_ASSERT_EQUAL(memcmp(record.time, want, KMS_TIME_TEXT - 1), 0);
    }
    kms_digest_free(chain.digest);
}

static void scans_its_own(void)
{
    struct kms_audit_chain chain = new_chain();
    chain.head.sequence = UINT64_MAX - 1; /* the longest frame */
    char line[2048];
    struct kms_audit_record record;
    struct kms_audit_head head;
    bool same = false;
    size_t len = seal(&chain, NOON_US, ",\"kind\":\"suppressed\",\"detail\":\",\\\"hash\\\":\\\"\"", line);
    CU_ASSERT_FATAL(kms_audit_scan_record(kms_bytes_of(line, len - 1), &record));
    KMS_ASSERT_OK(kms_audit_check_record(chain.digest, &record, &same));
    CU_ASSERT_TRUE(same);
    CU_ASSERT_EQUAL(record.sequence, UINT64_MAX);
    CU_ASSERT_TRUE(kms_bytes_equal(record.kind, kms_bytes_text("suppressed")));
    kms_audit_head_of(&record, &head);
    CU_ASSERT_STRING_EQUAL(head.hash, chain.head.hash);
    kms_digest_free(chain.digest);
}

/* Any other byte at any place: not a line any more, or another hash. */
static void every_change_shows(void)
{
    struct kms_audit_chain chain = new_chain();
    size_t len = sizeof first - 2;
    for (size_t at = 0; at < len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char line[sizeof first];
            struct kms_audit_record record;
            bool same = false;
            memcpy(line, first, sizeof line);
            line[at] = (char)(line[at] ^ 1 << bit);
            if (!kms_audit_scan_record(kms_bytes_of(line, len), &record)) continue;
            KMS_ASSERT_OK(kms_audit_check_record(chain.digest, &record, &same));
            CU_ASSERT_FALSE(same);
        }
    kms_digest_free(chain.digest);
}

static void shorter_is_no_record(void)
{
    struct kms_audit_record record;
    for (size_t len = 0; len < sizeof first - 2; len++) {
        char *copy = malloc(len + 1); /* exactly as long, so that reading on is caught */
        memcpy(copy, first, len);
        char *exact = realloc(copy, len > 0 ? len : 1);
        CU_ASSERT_FALSE(kms_audit_scan_record(kms_bytes_of(exact, len), &record));
        free(exact);
    }
}

static void sequence_has_one_form(void)
{
    static const char *const bad[] = {"0",   "00", "01", "", "-1", "+1", " 1", "1 ", "18446744073709551616",
                                      "1e3", "0x1"};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        KMS_OWN_BUF line = {0};
        struct kms_audit_record record;
        KMS_ASSERT_OK(
            kms_buf_print(&line, "{\"seq\":%s%.*s", bad[i], (int)(sizeof first - 2 - 8), first + 8));
        CU_ASSERT_FALSE(kms_audit_scan_record(kms_buf_view(&line), &record));
    }
}

KMS_TEST_MAIN("audit/chain", {"vectors", vectors}, {"time", time_is_that_of_the_clock_module},
              {"scans its own lines", scans_its_own}, {"every change of a byte shows", every_change_shows},
              {"a shorter line is no record", shorter_is_no_record},
              {"sequence has one form", sequence_has_one_form})
