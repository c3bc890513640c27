/*
 * One member of a secret that is a JSON object (RFC 8259), taken out without the text ever leaving locked
 * memory: no JSON library is asked, since none wipes what it copies. Thread-safe: no state.
 */
#ifndef KMS_BASE_FIELD_H
#define KMS_BASE_FIELD_H

#include "base/secret.h"

enum { KMS_FIELD_DEPTH = 64 }; /* objects and arrays in each other, at most */

/*
 * A string gives its characters; a number and true and false the text that stands there; an object or an
 * array its text without blanks. *ret_value is the caller's; NULL: the empty string. Errors: NOT_FOUND (no
 * such member), INVALID_ARGUMENT (no JSON object, the member is null or there twice), NO_MEMORY; why says
 * which, never what the text holds.
 */
KMS_MUST_USE kms_err kms_field(struct kms_bytes json, struct kms_bytes name, kms_secret **ret_value,
                               struct kms_why *why);

/* The object with this member, in the place of one that is there or as the last one; an empty text is an
 * object without members. name has nothing that JSON escapes; value is UTF-8. *ret_json is the caller's.
 * Errors: INVALID_ARGUMENT (no JSON object, the member is there twice), NO_MEMORY. */
KMS_MUST_USE kms_err kms_field_set(struct kms_bytes json, struct kms_bytes name, struct kms_bytes value,
                                   kms_secret **ret_json, struct kms_why *why);

#endif
