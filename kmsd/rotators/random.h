/*
 * Random passwords, as GetRandomPassword of AWS Secrets Manager makes them: every password that fits the
 * rules is as likely as any other. Thread-safe: no state.
 */
#ifndef KMS_ROTATORS_RANDOM_H
#define KMS_ROTATORS_RANDOM_H

#include "base/secret.h"

enum { KMS_PASSWORD_LENGTH_MAX = 4096, KMS_PASSWORD_LENGTH_DEFAULT = 32 };

struct kms_password_rules {
    uint32_t length;                     /* characters, 1 to KMS_PASSWORD_LENGTH_MAX */
    struct kms_bytes alphabet;           /* characters to choose from, printable ASCII; empty: all kinds */
    struct kms_bytes exclude_characters; /* any bytes */
    bool exclude_numbers, exclude_punctuation, exclude_uppercase, exclude_lowercase, include_space;
    bool require_each_included_type; /* a kind that has no character left is not included */
};

/* INVALID_ARGUMENT: no character is left, or the length is 0, too long, or too short for each type. */
KMS_MUST_USE kms_err kms_password_check(const struct kms_password_rules *rules, struct kms_why *why);
/* Also INTERNAL (no random numbers), NO_MEMORY. The caller owns *ret_password: rules.length bytes, no NUL. */
KMS_MUST_USE kms_err kms_password_new(const struct kms_password_rules *rules, kms_secret **ret_password,
                                      struct kms_why *why);

#endif
