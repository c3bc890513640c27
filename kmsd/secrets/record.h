/* Keystore rows of secrets (keystore/record.proto), out and in. Thread-safe: values only. */
#ifndef KMS_SECRETS_RECORD_H
#define KMS_SECRETS_RECORD_H

#include "keystore/keystore.h"
#include "kmsd/secrets/entry.h"

enum { KMS_SECRET_VALUE_ROW_BYTES = KMS_SECRET_ROW_BYTES + KMS_SECRET_VERSION_ID_BYTES };

/* Id of the row of a value: "SECRETROW/VERSIONID". */
void kms_secret_value_row(const struct kms_secret_entry *entry, const char *version_id,
                          char row_id[KMS_SECRET_VALUE_ROW_BYTES]);
/* Tags, stages and versions, and a value: as kms_stored_pack. */
KMS_MUST_USE kms_err kms_secret_body(const kms_stored_secret *stored, kms_buf *body);
KMS_MUST_USE kms_err kms_secret_value_body(const kms_stored_secret_value *stored, kms_buf *body);
/* The entry without its values, with its policy. CORRUPT names the row. */
KMS_MUST_USE kms_err kms_secret_from_row(const struct kms_arn_prefix *prefix, const struct kms_row *row,
                                         struct kms_secret_entry **ret_entry, struct kms_why *why);
KMS_MUST_USE kms_err kms_secret_value_from_row(const struct kms_row *row, struct kms_sealed_value **ret_value,
                                               struct kms_why *why);

#endif
