/*
 * The keyed values that make the keystore tamper-evident: the seal of a row, its weight in the sum over all
 * live rows, the sealed totals, and the mark that goes into audit records. Everything is HMAC-SHA-256 (FIPS
 * 198-1) under keys derived from the store key, one for each purpose. Private to keystore/. Not thread-safe.
 *
 * The sum is an additive multiset hash (MSet-Add-Hash; Clarke, Devadas, van Dijk, Gassend, Suh, "Incremental
 * Multiset Hash Functions and Their Application to Memory Integrity Checking", ASIACRYPT 2003): the weights
 * of all live rows added modulo 2^256. It changes with a row in constant time. It is safe only while nobody
 * sees a weight or the difference of two sums (else old rows could be combined to the right sum, by Wagner's
 * generalised birthday attack), so sums are stored under a fresh mask and published as an HMAC only.
 */
#ifndef KMS_KEYSTORE_SEAL_H
#define KMS_KEYSTORE_SEAL_H

#include "keystore/backend.h"

enum { KMS_STORE_KEY_BYTES = 32, KMS_TOTALS_BYTES = 128 };

typedef struct kms_sealer kms_sealer;

/* Errors: INVALID_ARGUMENT (not KMS_STORE_KEY_BYTES), NO_MEMORY. The keys lie in prepared HMAC states, wiped
 * on free. */
KMS_MUST_USE kms_err kms_sealer_new(struct kms_bytes store_key, kms_sealer **ret_sealer);
void kms_sealer_free(kms_sealer *sealer);
void kms_sealer_drop(kms_sealer **sealer);

/* Fills row->seal over table, id, revision and body. */
KMS_MUST_USE kms_err kms_seal_row(kms_sealer *sealer, struct kms_stored_row *row);
/* CORRUPT when row->seal is not the one of this row; why is left to the caller, who knows the words. */
KMS_MUST_USE kms_err kms_seal_check(kms_sealer *sealer, const struct kms_stored_row *row);

/* A number modulo 2^256, least significant word first. */
struct kms_sum {
    uint64_t word[4];
};
/* Adds a row (by its seal) to the sum, or takes it out again. */
KMS_MUST_USE kms_err kms_sum_add(kms_sealer *sealer, const struct kms_stored_row *row, struct kms_sum *sum);
KMS_MUST_USE kms_err kms_sum_subtract(kms_sealer *sealer, const struct kms_stored_row *row,
                                      struct kms_sum *sum);
bool kms_sum_equal(const struct kms_sum *a, const struct kms_sum *b); /* constant time */

/* Two sets of rows: what changes by apply, and the encryption budgets, which change on the crypto lane. */
struct kms_totals {
    uint64_t revision;        /* grows by one with every apply */
    uint64_t budget_revision; /* grows by one with every reserve */
    struct kms_sum rows, budgets;
};
/* The totals for the disk: sums masked, everything sealed. */
KMS_MUST_USE kms_err kms_totals_write(kms_sealer *sealer, const struct kms_totals *totals,
                                      uint8_t ret_record[KMS_TOTALS_BYTES]);
/* CORRUPT when the seal is not right. */
KMS_MUST_USE kms_err kms_totals_read(kms_sealer *sealer, struct kms_bytes record,
                                     struct kms_totals *ret_totals);
/* What is published: revision, and an HMAC over it and the sum of the rows. */
KMS_MUST_USE kms_err kms_totals_mark(kms_sealer *sealer, const struct kms_totals *totals,
                                     struct kms_store_mark *ret_mark);

#endif
