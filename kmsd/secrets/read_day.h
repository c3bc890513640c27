/*
 * The day on which a secret was last read, for DescribeSecret. Every acknowledged read is in the audit log,
 * so the keystore hears of it seldom: with a checkpoint of the usage ledger, when the day is another one than
 * what is stored; at start the tail of the log completes it (service/usage.h). One for all generations of a
 * secret. Thread-safe where nothing else is said.
 */
#ifndef KMS_SECRETS_READ_DAY_H
#define KMS_SECRETS_READ_DAY_H

#include <stdatomic.h>

#include "keystore/keystore.h"

struct kms_read_day {
    atomic_uint refs;
    _Atomic uint64_t day_us; /* its midnight, UTC; 0: never */
    /* Of its row; whoever has the book's turn (kms_secret_book_turn). */
    uint64_t revision;            /* 0: not stored yet */
    uint64_t stored_us, taken_us; /* what is stored, and what is about to be */
};
KMS_MUST_USE kms_err kms_read_day_new(struct kms_read_day **ret_day); /* NO_MEMORY */
struct kms_read_day *kms_read_day_ref(struct kms_read_day *day);
void kms_read_day_unref(struct kms_read_day *day); /* NULL is a no-op */

/* Read at this time; the latest counts, as the times of the audit log do not go back. One thread at a
 * time. */
void kms_read_day_set(struct kms_read_day *day, uint64_t at_us);
uint64_t kms_read_day_of(const struct kms_read_day *day);

/* Its row (StoredSecretReadDay): body must be empty; remembers what it says as taken. NO_MEMORY. */
KMS_MUST_USE kms_err kms_read_day_body(struct kms_read_day *day, kms_buf *body);
/* CORRUPT names the row. */
KMS_MUST_USE kms_err kms_read_day_from_row(const struct kms_row *row, struct kms_read_day *day,
                                           struct kms_why *why);

#endif
