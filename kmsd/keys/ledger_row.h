/* Entries of the ledger as keystore rows; private to the ledger. Thread-safe: values only. */
#ifndef KMS_KEYS_LEDGER_ROW_H
#define KMS_KEYS_LEDGER_ROW_H

#include "kmsd/keys/ledger.h"

KMS_MUST_USE kms_err kms_usage_body(const struct kms_usage *usage, uint64_t sequence, kms_buf *body);
/* usage->principals has room for KMS_LEDGER_PRINCIPALS. The checkpoint has no key and version 0. CORRUPT. */
KMS_MUST_USE kms_err kms_usage_from_row(const struct kms_row *row, struct kms_usage *usage,
                                        struct kms_why *why);

#endif
