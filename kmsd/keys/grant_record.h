/* Keystore rows of grants (keystore/record.proto), out and in. Thread-safe: values only. */
#ifndef KMS_KEYS_GRANT_RECORD_H
#define KMS_KEYS_GRANT_RECORD_H

#include "keystore/keystore.h"
#include "kmsd/keys/grants.h"

enum { KMS_GRANT_ROW_BYTES = 2 * KMS_ID_TEXT }; /* "KEYID/GRANTID" and NUL */

void kms_grant_row_id(const struct kms_id *key_id, const struct kms_id *grant_id,
                      char row_id[KMS_GRANT_ROW_BYTES]);
/* The reverse; false: not the name of a grant. */
bool kms_grant_row_parse(const char *row_id, struct kms_id *ret_key_id, struct kms_id *ret_grant_id);
/* body must be empty. NO_MEMORY. */
KMS_MUST_USE kms_err kms_grant_body(const struct kms_grant *grant, kms_buf *body);
/* The caller owns a reference. CORRUPT names the row. */
KMS_MUST_USE kms_err kms_grant_from_row(const struct kms_row *row, struct kms_id *ret_key_id,
                                        struct kms_granted **ret_granted, struct kms_why *why);

#endif
