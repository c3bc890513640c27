/*
 * Policy variables: "${aws:username}", "${aws:username, 'default'}" in text of a document. Compiled text
 * carries each as the byte KMS_VARIABLE, which UTF-8 never uses, and what it names; a decision puts the value
 * of its request there. Values are literal: a '*' in one is no wildcard.
 */
#ifndef KMS_POLICY_VARIABLE_H
#define KMS_POLICY_VARIABLE_H

#include "kmsd/policy/compile.h"

enum {
    KMS_VARIABLE = 0xfd,
    KMS_RESOLVED_BYTES = 12288, /* longest text that a document can make of its variables' values */
};

/* One variable, as "${...}" and as it is compiled. */
struct kms_variable {
    enum kms_condition_key key;
    struct kms_bytes name;         /* behind the prefix of a key that has one */
    struct kms_bytes default_text; /* {NULL, 0}: none */
};

/* Reads the variable at the front of a text that begins with "${". MALFORMED_POLICY. */
KMS_MUST_USE kms_err kms_variable_read(const struct kms_compile *compile, struct kms_bytes text,
                                       struct kms_variable *ret_variable, size_t *ret_len);
/* Bytes written to `to`: at most as many as the document's spelling has. */
size_t kms_variable_write(const struct kms_variable *variable, uint8_t *to);
/* Longest value that it stands for. */
size_t kms_variable_longest(const struct kms_variable *variable);

bool kms_has_variable(struct kms_bytes compiled);
/* Puts the values in. False: one has no value (or several, or one that is too long) and no default; such
 * text matches nothing. */
bool kms_resolve(struct kms_bytes compiled, const struct kms_access_request *request,
                 uint8_t room[KMS_RESOLVED_BYTES], struct kms_bytes *ret_text);

#endif
