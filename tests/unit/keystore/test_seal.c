/* The seal covers every field of a row, the sum is a sum, and the stored totals show nothing. */
#include "keystore/seal.h"

#include "tests/harness/faults.h"
#include "tests/harness/suite.h"

static const uint8_t store_key[KMS_STORE_KEY_BYTES] = "a store key for the seal tests.";

static kms_sealer *sealer_new(void)
{
    kms_sealer *sealer = NULL;
    KMS_ASSERT_OK_FATAL(kms_sealer_new(kms_bytes_of(store_key, sizeof store_key), &sealer));
    return sealer;
}

static struct kms_stored_row row_of(uint32_t table, const char *id, uint64_t revision, const char *body)
{
    return (struct kms_stored_row){
        .table = table, .id = id, .revision = revision, .body = kms_bytes_text(body)};
}

/* Stored for years: computed here with another implementation (Python's hmac) and never to change. */
static void the_seal_is_the_one_of_version_1(void)
{
    static const char want[] = "4d4b757551635397b935087517c9cff284c715a55f99f479e44ea23fabba7981";
    KMS_OWN(kms_sealer) sealer = sealer_new();
    struct kms_stored_row row = row_of(1, "key-id", 7, "body");
    char hex[2 * KMS_DIGEST_BYTES + 1];
    KMS_ASSERT_OK(kms_seal_row(sealer, &row));
    kms_hex(row.seal, sizeof row.seal, hex);
    CU_ASSERT_STRING_EQUAL(hex, want);
}

static void a_seal_covers_every_field(void)
{
    const struct kms_stored_row others[] = {
        row_of(2, "id", 1, "body"), row_of(1, "ic", 1, "body"),  row_of(1, "id", 2, "body"),
        row_of(1, "id", 1, "bodz"), row_of(1, "idb", 1, "ody"),  row_of(1, "i", 1, "dbody"),
        row_of(1, "id", 1, ""),     row_of(1, "id", 1, "body "),
    };
    KMS_OWN(kms_sealer) sealer = sealer_new();
    struct kms_stored_row row = row_of(1, "id", 1, "body");
    KMS_ASSERT_OK(kms_seal_row(sealer, &row));
    KMS_ASSERT_OK(kms_seal_check(sealer, &row));
    for (size_t i = 0; i < KMS_COUNT(others); i++) {
        struct kms_stored_row other = others[i];
        kms_copy(other.seal, row.seal, sizeof row.seal);
        KMS_ASSERT_CODE(kms_seal_check(sealer, &other), CORRUPT);
    }
    for (size_t bit = 0; bit < 8 * sizeof row.seal; bit++) {
        struct kms_stored_row flipped = row;
        flipped.seal[bit / 8] ^= (uint8_t)(1u << bit % 8);
        KMS_ASSERT_CODE(kms_seal_check(sealer, &flipped), CORRUPT);
    }
}

static void a_sum_comes_back_when_a_row_goes(void)
{
    enum { ROWS = 50 };
    KMS_OWN(kms_sealer) sealer = sealer_new();
    struct kms_sum sum = {{0}}, forward = {{0}}, zero = {{0}};
    struct kms_stored_row rows[ROWS];
    for (unsigned i = 0; i < ROWS; i++) {
        rows[i] = row_of(1, "id", i + 1, "body");
        KMS_ASSERT_OK(kms_seal_row(sealer, &rows[i]));
        KMS_ASSERT_OK(kms_sum_add(sealer, &rows[i], &forward));
    }
    for (unsigned i = ROWS; i-- > 0;) KMS_ASSERT_OK(kms_sum_add(sealer, &rows[i], &sum)); /* any order */
    CU_ASSERT(kms_sum_equal(&sum, &forward));
    for (unsigned i = 0; i < ROWS; i++) {
        CU_ASSERT_FALSE(kms_sum_equal(&sum, &zero));
        KMS_ASSERT_OK(kms_sum_subtract(sealer, &rows[i], &sum));
    }
    CU_ASSERT(kms_sum_equal(&sum, &zero));
    KMS_ASSERT_OK(kms_sum_subtract(sealer, &rows[0], &sum)); /* below zero it wraps, and comes back */
    KMS_ASSERT_OK(kms_sum_add(sealer, &rows[0], &sum));
    CU_ASSERT(kms_sum_equal(&sum, &zero));
}

static void carries_reach_every_word(void)
{
    KMS_OWN(kms_sealer) sealer = sealer_new();
    struct kms_stored_row row = row_of(1, "id", 1, "body");
    struct kms_sum zero = {{0}}, weight = {{0}}, ones = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    KMS_ASSERT_OK(kms_seal_row(sealer, &row));
    KMS_ASSERT_OK(kms_sum_add(sealer, &row, &weight));
    KMS_ASSERT_OK(kms_sum_add(sealer, &row, &ones)); /* weight - 1 */
    CU_ASSERT_EQUAL(ones.word[0], weight.word[0] - 1);
    for (int i = 1; i < 4; i++) CU_ASSERT_EQUAL(ones.word[i], weight.word[i]);
    KMS_ASSERT_OK(kms_sum_subtract(sealer, &row, &zero)); /* minus weight */
    CU_ASSERT_EQUAL(zero.word[0], 0 - weight.word[0]);
    for (int i = 1; i < 4; i++) CU_ASSERT_EQUAL(zero.word[i], ~weight.word[i]);
}

static const struct kms_totals some_totals = {
    .revision = 5, .budget_revision = 9, .rows = {{1, 2, 3, 4}}, .budgets = {{5, 6, 7, 8}}};

static void totals_come_back_and_edits_do_not(void)
{
    KMS_OWN(kms_sealer) sealer = sealer_new();
    uint8_t record[KMS_TOTALS_BYTES];
    struct kms_totals back = {.revision = 77};
    KMS_ASSERT_OK(kms_totals_write(sealer, &some_totals, record));
    for (size_t bit = 0; bit < 8 * sizeof record; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        KMS_ASSERT_CODE(kms_totals_read(sealer, kms_bytes_of(record, sizeof record), &back), CORRUPT);
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sizeof record; len++)
        KMS_ASSERT_CODE(kms_totals_read(sealer, kms_bytes_of(record, len), &back), CORRUPT);
    CU_ASSERT_EQUAL(back.revision, 77);
    KMS_ASSERT_OK(kms_totals_read(sealer, kms_bytes_of(record, sizeof record), &back));
    CU_ASSERT_EQUAL(memcmp(&back, &some_totals, sizeof back), 0);
}

/* Old rows could be combined to a sum that somebody knows. */
static void stored_totals_hide_the_sums(void)
{
    KMS_OWN(kms_sealer) sealer = sealer_new();
    uint8_t one[KMS_TOTALS_BYTES], two[KMS_TOTALS_BYTES];
    KMS_ASSERT_OK(kms_totals_write(sealer, &some_totals, one));
    KMS_ASSERT_OK(kms_totals_write(sealer, &some_totals, two));
    CU_ASSERT_EQUAL(memcmp(one, two, 16), 0);       /* the revisions */
    for (size_t at = 16; at < sizeof one; at += 16) /* nonce, two sums, seal */
        CU_ASSERT_NOT_EQUAL(memcmp(one + at, two + at, 16), 0);
}

static void a_mark_covers_revision_and_rows_only(void)
{
    KMS_OWN(kms_sealer) sealer = sealer_new();
    struct kms_totals totals[4] = {some_totals, some_totals, some_totals, some_totals};
    struct kms_store_mark mark[4];
    totals[1].revision++;
    totals[2].rows.word[3]++;
    totals[3].budget_revision++;
    totals[3].budgets.word[0]++;
    for (size_t i = 0; i < 4; i++) KMS_ASSERT_OK(kms_totals_mark(sealer, &totals[i], &mark[i]));
    CU_ASSERT_EQUAL(mark[1].revision, 6);
    CU_ASSERT_NOT_EQUAL(memcmp(mark[0].digest, mark[1].digest, KMS_DIGEST_BYTES), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(mark[0].digest, mark[2].digest, KMS_DIGEST_BYTES), 0);
    CU_ASSERT_EQUAL(memcmp(mark[0].digest, mark[3].digest, KMS_DIGEST_BYTES), 0);
}

static void a_store_key_has_32_bytes(void)
{
    kms_sealer *sealer = NULL;
    for (size_t len = 0; len < KMS_STORE_KEY_BYTES; len++)
        KMS_ASSERT_CODE(kms_sealer_new(kms_bytes_of(store_key, len), &sealer), INVALID_ARGUMENT);
    CU_ASSERT_PTR_NULL(sealer);
}

static void every_failure_is_clean(void)
{
    uint8_t record[KMS_TOTALS_BYTES];
    FAULTS_EACH () {
        kms_sealer *sealer = NULL;
        kms_err err = kms_sealer_new(kms_bytes_of(store_key, sizeof store_key), &sealer);
        if (!kms_failed(err)) err = kms_totals_write(sealer, &some_totals, record);
        CU_ASSERT_EQUAL(kms_failed(err), faults_hit());
        kms_sealer_free(sealer);
    }
}

KMS_TEST_MAIN("keystore/seal", {"the seal is the one of version 1", the_seal_is_the_one_of_version_1},
              {"a seal covers every field", a_seal_covers_every_field},
              {"a sum comes back when a row goes", a_sum_comes_back_when_a_row_goes},
              {"carries reach every word", carries_reach_every_word},
              {"totals come back, and edits do not", totals_come_back_and_edits_do_not},
              {"stored totals hide the sums", stored_totals_hide_the_sums},
              {"a mark covers revision and rows only", a_mark_covers_revision_and_rows_only},
              {"a store key has 32 bytes", a_store_key_has_32_bytes},
              {"every failure is clean", every_failure_is_clean})
