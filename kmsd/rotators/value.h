/*
 * A secret value that is a JSON object (RFC 8259), read and changed where it lies, in locked memory:
 * nothing of it is copied to the heap, and what is not changed stays byte by byte. Thread-safe: no state.
 */
#ifndef KMS_ROTATORS_VALUE_H
#define KMS_ROTATORS_VALUE_H

#include "base/secret.h"

enum { KMS_VALUE_DEPTH_MAX = 32 };

/* One whole JSON object and nothing else, not deeper than KMS_VALUE_DEPTH_MAX. */
bool kms_value_is_object(struct kms_bytes text);
/* The member of that name at the top of an object: its value as it is written, borrowed. False: no object,
 * or no such member, or several. Names with escapes are members like any other, but are not found by name.
 * */
bool kms_value_member(struct kms_bytes text, const char *name, struct kms_bytes *ret_raw);
/* A string, or a number as its digits, as text with a NUL at the end that counts in its length. False in
 * *ret_is: anything else, or a string that holds NUL or half a surrogate pair. NO_MEMORY. */
KMS_MUST_USE kms_err kms_value_text(struct kms_bytes raw, kms_secret **ret_text, bool *ret_is);
/* Calls each with every string in an object, at any depth, names of members left out; inside: escaped as it
 * is, without its quotes. Nothing is called when text is no object. */
void kms_value_each(struct kms_bytes text, void (*each)(void *user, struct kms_bytes inside), void *user);
/* What is between the quotes of a string as it is written, unescaped into to, which has room for as many
 * bytes. SIZE_MAX: it holds NUL or half a surrogate pair. */
size_t kms_value_unescape(struct kms_bytes inside, uint8_t *to);
/* The object with one member's value replaced by a string; the member must be there. INVALID_ARGUMENT: it
 * is not, or string is no UTF-8; LIMIT_EXCEEDED, NO_MEMORY. */
KMS_MUST_USE kms_err kms_value_replace(struct kms_bytes text, const char *name, struct kms_bytes string,
                                       kms_secret **ret_text);

size_t kms_value_size(struct kms_bytes text); /* bytes that kms_value_put writes */
/* text (UTF-8) as a JSON string with its quotes; returns what follows it. Non-ASCII stays as it is. */
uint8_t *kms_value_put(uint8_t *to, struct kms_bytes text);

#endif
