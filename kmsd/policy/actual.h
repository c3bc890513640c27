/*
 * What a request has for a condition key. Thread-safe: values only.
 */
#ifndef KMS_POLICY_ACTUAL_H
#define KMS_POLICY_ACTUAL_H

#include "kmsd/policy/compiled.h"

/* The next value that the request has for a key; *cursor begins at 0. False: no more. Names behind a prefix
 * are compared without case, so that two pairs of a request can answer to one key. */
bool kms_actual_next(enum kms_condition_key key, struct kms_bytes name,
                     const struct kms_access_request *request, size_t *cursor, struct kms_actual *ret_actual);

/* The one value that a policy variable stands for, as text, in room where it has to be written. False: the
 * request has none, or several. */
enum { KMS_ACTUAL_ROOM_BYTES = 40 };
bool kms_actual_text(enum kms_condition_key key, struct kms_bytes name,
                     const struct kms_access_request *request, char room[KMS_ACTUAL_ROOM_BYTES],
                     struct kms_bytes *ret_text);

#endif
