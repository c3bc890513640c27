/* Seals, sums and marks, each under a derived key of its own. */
#include "keystore/seal.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/wire.h"

enum purpose { ROW_SEAL, ROW_WEIGHT, TOTALS_SEAL, TOTALS_MASK, MARK, PURPOSES };

/* Stored seals depend on these labels: never change one. */
static const char *const label[PURPOSES] = {
    [ROW_SEAL] = "kmsd keystore v1 row seal",
    [ROW_WEIGHT] = "kmsd keystore v1 row weight",
    [TOTALS_SEAL] = "kmsd keystore v1 totals seal",
    [TOTALS_MASK] = "kmsd keystore v1 totals mask",
    [MARK] = "kmsd keystore v1 mark",
};

enum {
    NONCE_BYTES = 16,
    SUM_BYTES = sizeof(struct kms_sum),
    SEALED_BYTES = 16 + NONCE_BYTES + 2 * SUM_BYTES
};
_Static_assert(SEALED_BYTES + KMS_DIGEST_BYTES == KMS_TOTALS_BYTES, "layout of the totals");

struct kms_sealer {
    kms_digest *keyed[PURPOSES];
};

static kms_err derive(kms_digest *store_key, enum purpose purpose, kms_digest **ret_keyed)
{
    KMS_OWN(kms_secret) key = NULL;
    KMS_TRY(kms_secret_new(KMS_DIGEST_BYTES, &key));
    struct kms_bytes part = kms_bytes_text(label[purpose]);
    KMS_TRY(kms_digest_run(store_key, &part, 1, kms_secret_data(key)));
    return kms_digest_new_keyed(kms_bytes_of(kms_secret_data(key), KMS_DIGEST_BYTES), ret_keyed);
}

kms_err kms_sealer_new(struct kms_bytes store_key, kms_sealer **ret_sealer)
{
    if (store_key.len != KMS_STORE_KEY_BYTES) return KMS_FAIL(INVALID_ARGUMENT);
    KMS_OWN(kms_digest) source = NULL;
    KMS_TRY(kms_digest_new_keyed(store_key, &source));
    KMS_OWN(kms_sealer) sealer = calloc(1, sizeof *sealer);
    if (sealer == NULL) return KMS_FAIL(NO_MEMORY);
    for (enum purpose p = 0; p < PURPOSES; p++) KMS_TRY(derive(source, p, &sealer->keyed[p]));
    *ret_sealer = KMS_GIVE(sealer);
    return KMS_OK;
}

void kms_sealer_free(kms_sealer *sealer)
{
    if (sealer == NULL) return;
    for (enum purpose p = 0; p < PURPOSES; p++) kms_digest_free(sealer->keyed[p]);
    free(sealer);
}

void kms_sealer_drop(kms_sealer **sealer)
{
    kms_sealer_free(*sealer);
}

/* Table, revision and both lengths at fixed places, then id and body: no two rows give the same bytes. */
static kms_err seal_of(kms_sealer *sealer, const struct kms_stored_row *row,
                       uint8_t ret_seal[KMS_DIGEST_BYTES])
{
    uint8_t head[20];
    size_t id_len = strlen(row->id);
    struct kms_writer w = kms_writer_over(head, sizeof head);
    kms_put_u32(&w, row->table);
    kms_put_u64(&w, row->revision);
    kms_put_u32(&w, (uint32_t)id_len);
    kms_put_u32(&w, (uint32_t)row->body.len);
    struct kms_bytes parts[] = {kms_bytes_of(head, sizeof head), kms_bytes_of(row->id, id_len), row->body};
    return kms_digest_run(sealer->keyed[ROW_SEAL], parts, sizeof parts / sizeof parts[0], ret_seal);
}

kms_err kms_seal_row(kms_sealer *sealer, struct kms_stored_row *row)
{
    return seal_of(sealer, row, row->seal);
}

kms_err kms_seal_check(kms_sealer *sealer, const struct kms_stored_row *row)
{
    uint8_t seal[KMS_DIGEST_BYTES];
    KMS_TRY(seal_of(sealer, row, seal));
    return kms_bytes_same(seal, row->seal, sizeof seal) ? KMS_OK : KMS_FAIL(CORRUPT);
}

static struct kms_sum sum_from(const uint8_t bytes[SUM_BYTES])
{
    struct kms_sum sum;
    struct kms_reader r = kms_reader_over(kms_bytes_of(bytes, SUM_BYTES));
    for (int i = 3; i >= 0; i--) sum.word[i] = kms_get_u64(&r);
    return sum;
}

static void sum_to(const struct kms_sum *sum, uint8_t bytes[SUM_BYTES])
{
    struct kms_writer w = kms_writer_over(bytes, SUM_BYTES);
    for (int i = 3; i >= 0; i--) kms_put_u64(&w, sum->word[i]);
}

static kms_err weight_of(kms_sealer *sealer, const struct kms_stored_row *row, struct kms_sum *ret_weight)
{
    uint8_t weight[KMS_DIGEST_BYTES];
    struct kms_bytes seal = kms_bytes_of(row->seal, sizeof row->seal);
    KMS_TRY(kms_digest_run(sealer->keyed[ROW_WEIGHT], &seal, 1, weight));
    *ret_weight = sum_from(weight);
    return KMS_OK;
}

kms_err kms_sum_add(kms_sealer *sealer, const struct kms_stored_row *row, struct kms_sum *sum)
{
    struct kms_sum weight;
    bool carry = false;
    KMS_TRY(weight_of(sealer, row, &weight));
    for (int i = 0; i < 4; i++) {
        bool first = __builtin_add_overflow(sum->word[i], weight.word[i], &sum->word[i]);
        bool second = __builtin_add_overflow(sum->word[i], (uint64_t)carry, &sum->word[i]);
        carry = first || second;
    }
    return KMS_OK;
}

kms_err kms_sum_subtract(kms_sealer *sealer, const struct kms_stored_row *row, struct kms_sum *sum)
{
    struct kms_sum weight;
    bool borrow = false;
    KMS_TRY(weight_of(sealer, row, &weight));
    for (int i = 0; i < 4; i++) {
        bool first = __builtin_sub_overflow(sum->word[i], weight.word[i], &sum->word[i]);
        bool second = __builtin_sub_overflow(sum->word[i], (uint64_t)borrow, &sum->word[i]);
        borrow = first || second;
    }
    return KMS_OK;
}

bool kms_sum_equal(const struct kms_sum *a, const struct kms_sum *b)
{
    return kms_bytes_same(a, b, sizeof *a);
}

/* XOR with a stream that the nonce makes new each time: applied twice it is gone. */
static kms_err mask(kms_sealer *sealer, const uint8_t nonce[NONCE_BYTES], uint8_t which,
                    uint8_t sum[SUM_BYTES])
{
    uint8_t stream[KMS_DIGEST_BYTES];
    struct kms_bytes parts[] = {kms_bytes_of(nonce, NONCE_BYTES), kms_bytes_of(&which, 1)};
    KMS_TRY(kms_digest_run(sealer->keyed[TOTALS_MASK], parts, sizeof parts / sizeof parts[0], stream));
    for (size_t i = 0; i < SUM_BYTES; i++) sum[i] ^= stream[i];
    return KMS_OK;
}

kms_err kms_totals_write(kms_sealer *sealer, const struct kms_totals *totals,
                         uint8_t ret_record[KMS_TOTALS_BYTES])
{
    uint8_t nonce[NONCE_BYTES], rows[SUM_BYTES], budgets[SUM_BYTES], record[KMS_TOTALS_BYTES];
    KMS_TRY(kms_random(nonce, sizeof nonce));
    sum_to(&totals->rows, rows);
    sum_to(&totals->budgets, budgets);
    KMS_TRY(mask(sealer, nonce, 0, rows));
    KMS_TRY(mask(sealer, nonce, 1, budgets));
    struct kms_writer w = kms_writer_over(record, SEALED_BYTES);
    kms_put_u64(&w, totals->revision);
    kms_put_u64(&w, totals->budget_revision);
    kms_put_raw(&w, nonce, sizeof nonce);
    kms_put_raw(&w, rows, sizeof rows);
    kms_put_raw(&w, budgets, sizeof budgets);
    struct kms_bytes sealed = kms_bytes_of(record, SEALED_BYTES);
    KMS_TRY(kms_digest_run(sealer->keyed[TOTALS_SEAL], &sealed, 1, record + SEALED_BYTES));
    kms_copy(ret_record, record, sizeof record);
    return KMS_OK;
}

kms_err kms_totals_read(kms_sealer *sealer, struct kms_bytes record, struct kms_totals *ret_totals)
{
    uint8_t nonce[NONCE_BYTES], rows[SUM_BYTES], budgets[SUM_BYTES], seal[KMS_DIGEST_BYTES];
    if (record.len != KMS_TOTALS_BYTES) return KMS_FAIL(CORRUPT);
    struct kms_bytes sealed = kms_bytes_of(record.ptr, SEALED_BYTES);
    KMS_TRY(kms_digest_run(sealer->keyed[TOTALS_SEAL], &sealed, 1, seal));
    if (!kms_bytes_same(seal, record.ptr + SEALED_BYTES, sizeof seal)) return KMS_FAIL(CORRUPT);
    struct kms_reader r = kms_reader_over(sealed);
    struct kms_totals totals;
    totals.revision = kms_get_u64(&r);
    totals.budget_revision = kms_get_u64(&r);
    kms_get_raw(&r, nonce, sizeof nonce);
    kms_get_raw(&r, rows, sizeof rows);
    kms_get_raw(&r, budgets, sizeof budgets);
    KMS_TRY(mask(sealer, nonce, 0, rows));
    KMS_TRY(mask(sealer, nonce, 1, budgets));
    totals.rows = sum_from(rows);
    totals.budgets = sum_from(budgets);
    *ret_totals = totals;
    return KMS_OK;
}

kms_err kms_totals_mark(kms_sealer *sealer, const struct kms_totals *totals, struct kms_store_mark *ret_mark)
{
    uint8_t input[8 + SUM_BYTES];
    struct kms_store_mark mark = {.revision = totals->revision};
    struct kms_writer w = kms_writer_over(input, 8);
    kms_put_u64(&w, totals->revision);
    sum_to(&totals->rows, input + 8);
    struct kms_bytes part = kms_bytes_of(input, sizeof input);
    KMS_TRY(kms_digest_run(sealer->keyed[MARK], &part, 1, mark.digest));
    *ret_mark = mark;
    return KMS_OK;
}
