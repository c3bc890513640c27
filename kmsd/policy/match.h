/*
 * Comparing text as policies do: globs, ARNs part by part, and without regard to case. Thread-safe: values
 * only. A pattern is text in which two bytes that UTF-8 never uses stand for the wildcards, so that a literal
 * '*' ("${*}") is just a '*'.
 */
#ifndef KMS_POLICY_MATCH_H
#define KMS_POLICY_MATCH_H

#include "base/bytes.h"

enum {
    KMS_ANY_RUN = 0xff, /* '*': any run of characters, also none */
    KMS_ANY_ONE = 0xfe, /* '?': one character (a UTF-8 sequence) */
    KMS_ARN_PARTS = 6,  /* arn:partition:service:region:account:resource; the last may hold colons */
};

bool kms_pattern_match(struct kms_bytes pattern, struct kms_bytes text);
/* Splits at the first five colons; false: fewer than six parts. */
bool kms_arn_split(struct kms_bytes arn, struct kms_bytes parts[KMS_ARN_PARTS]);
/* Each part against its own pattern, so no wildcard reaches over a colon. Text that is no ARN does not match.
 */
bool kms_arn_match(struct kms_bytes pattern, struct kms_bytes arn);
/* Equal but for the case of letters in ASCII and Latin-1 (as UTF-8). */
bool kms_folded_equal(struct kms_bytes a, struct kms_bytes b);

#endif
