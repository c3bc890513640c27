/*
 * How a secret is named: by its name, or by its ARN with or without the six characters at the end. ARN:
 * arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-XXXXXX (AWS service authorization reference,
 * Secrets Manager). Thread-safe: values only.
 */
#ifndef KMS_SECRETS_NAME_H
#define KMS_SECRETS_NAME_H

#include "base/bytes.h"
#include "base/digest.h"
#include "kmsd/keys/name.h"

enum {
    KMS_SECRET_NAME_BYTES = 513, /* with the NUL (AWS: 512) */
    KMS_SECRET_SUFFIX_BYTES = 7, /* with the NUL */
    KMS_SECRET_ARN_BYTES = 128 + KMS_SECRET_NAME_BYTES + 16,
    KMS_SECRET_ROW_BYTES = 2 * KMS_DIGEST_BYTES + 1,
    KMS_SECRET_VERSION_ID_BYTES = 65, /* with the NUL (AWS: 32 to 64 characters) */
    KMS_SECRET_VERSION_ID_LEAST = 32,
};

/* 1 to 512 of a-z A-Z 0-9 / _ + = . @ -; no part between slashes that is empty, "." or ".."; not ending in
 * "-" and six letters or digits, which would read as the end of an ARN. INVALID_ARGUMENT. */
KMS_MUST_USE kms_err kms_secret_name_check(struct kms_bytes name, struct kms_why *why);
/* 32 to 64 of a-z A-Z 0-9 -. INVALID_ARGUMENT names the field. */
KMS_MUST_USE kms_err kms_secret_version_id_check(const char *field, struct kms_bytes id, struct kms_why *why);

struct kms_secret_name {
    struct kms_bytes name;   /* borrowed */
    struct kms_bytes suffix; /* of an ARN that has one; else empty */
};
/* The names that `named` can mean, best first: an ARN may end in something that looks like a suffix and is
 * not one, so there are up to two. prefix: "arn:aws:secretsmanager:us-east-1:000000000000:".
 * INVALID_ARGUMENT (no name), INVALID_ARN (of another service, region or account). */
KMS_MUST_USE kms_err kms_secret_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                                           struct kms_secret_name ret_names[2], size_t *ret_count,
                                           struct kms_why *why);

/* From the generator: six of a-z A-Z 0-9. INTERNAL. */
KMS_MUST_USE kms_err kms_secret_suffix_new(char suffix[KMS_SECRET_SUFFIX_BYTES]);
void kms_secret_arn(const struct kms_arn_prefix *prefix, const char *name, const char *suffix,
                    char arn[KMS_SECRET_ARN_BYTES]);
/* Id of its row: so that a name stands there once. */
KMS_MUST_USE kms_err kms_secret_row(struct kms_bytes name, char row[KMS_SECRET_ROW_BYTES]);

#endif
