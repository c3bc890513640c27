/*
 * How a key is named: its id, "alias/NAME", or either inside an ARN of this service. Thread-safe: values
 * only. ARN: arn:PARTITION:kms:REGION:ACCOUNT:key/ID or ...:alias/NAME (AWS service authorization reference,
 * KMS).
 */
#ifndef KMS_KEYS_NAME_H
#define KMS_KEYS_NAME_H

#include "base/bytes.h"
#include "base/id.h"

enum { KMS_ARN_BYTES = 384 };

/* The fixed part of every ARN of a service: "arn:aws:kms:us-east-1:000000000000:" */
struct kms_arn_prefix {
    char text[128];
    size_t len;
};

/* CONFIG_INVALID: a part is empty, too long or has a colon. */
KMS_MUST_USE kms_err kms_arn_prefix_make(const char *partition, const char *service, const char *region,
                                         const char *account, struct kms_arn_prefix *ret_prefix,
                                         struct kms_why *why);
/* id_text: KMS_ID_TEXT bytes at most. */
void kms_key_arn(const struct kms_arn_prefix *prefix, const char *id_text, char arn[KMS_ARN_BYTES]);
void kms_alias_arn(const struct kms_arn_prefix *prefix, const char *alias, char arn[KMS_ARN_BYTES]);

struct kms_key_name {
    struct kms_bytes alias; /* "alias/NAME", borrowed; empty: id holds */
    struct kms_id id;
};
/* INVALID_ARGUMENT (neither id nor alias), INVALID_ALIAS_NAME, INVALID_ARN (of another service, region or
 * account). */
KMS_MUST_USE kms_err kms_key_name_parse(const struct kms_arn_prefix *prefix, struct kms_bytes named,
                                        struct kms_key_name *ret_name, struct kms_why *why);
/* "alias/" and 1 to 250 of a-z A-Z 0-9 / _ -. INVALID_ALIAS_NAME. */
KMS_MUST_USE kms_err kms_alias_name_syntax(struct kms_bytes name, struct kms_why *why);
/* The same of one that a caller wants to make, move or delete: not "alias/aws/...", which is the service's
 * own. */
KMS_MUST_USE kms_err kms_alias_name_check(struct kms_bytes name, struct kms_why *why);

#endif
