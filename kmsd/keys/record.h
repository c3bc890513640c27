/* Keystore rows of keys, versions and aliases (keystore/record.proto), out and in. Thread-safe: values only.
 */
#ifndef KMS_KEYS_RECORD_H
#define KMS_KEYS_RECORD_H

#include "kmsd/keys/keyring.h"

enum {
    KMS_KEY_VERSIONS = 100000,               /* most versions of one key */
    KMS_VERSION_ROW_BYTES = KMS_ID_TEXT + 9, /* "KEYID/0000002a" and NUL */
};

void kms_version_row_id(const struct kms_key *key, uint32_t version, char row_id[KMS_VERSION_ROW_BYTES]);

/* body must be empty. NO_MEMORY. */
KMS_MUST_USE kms_err kms_key_body(const struct kms_key *key, kms_buf *body);
KMS_MUST_USE kms_err kms_version_body(const struct kms_key_version *version, kms_buf *body);
KMS_MUST_USE kms_err kms_alias_body(const struct kms_alias *alias, uint64_t changed_us, kms_buf *body);

/* key->deletion_us: when it was deleted. */
KMS_MUST_USE kms_err kms_tombstone_body(const struct kms_key *key, kms_buf *body);
/* A key of which only the tombstone is left: for kms_keyring_bury. */
KMS_MUST_USE kms_err kms_tombstone_from_row(const struct kms_row *row, kms_documents *documents,
                                            struct kms_key **ret_key, struct kms_why *why);

/* The key without its wrapped versions. CORRUPT names the row. */
KMS_MUST_USE kms_err kms_key_from_row(const struct kms_row *row, kms_documents *documents,
                                      struct kms_key **ret_key, struct kms_why *why);
/* Fills version `version` (1 .. version_count) of a key that nobody else sees yet. */
KMS_MUST_USE kms_err kms_version_from_row(struct kms_key *key, uint32_t version, const struct kms_row *row,
                                          struct kms_why *why);
/* The wrapped key of a version's row, into an empty buffer. */
KMS_MUST_USE kms_err kms_version_wrapped(const struct kms_row *row, kms_buf *wrapped, struct kms_why *why);
KMS_MUST_USE kms_err kms_alias_from_row(const struct kms_row *row, struct kms_alias *ret_alias,
                                        struct kms_why *why);

#endif
