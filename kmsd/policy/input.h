/*
 * The inputs of a decision by name (input.def): out of a request for its record, into a request from a record
 * or from somebody who asks what if. Thread-safe: values only.
 */
#ifndef KMS_POLICY_INPUT_H
#define KMS_POLICY_INPUT_H

#include "kmsd/policy/policy.h"

enum kms_input_scope { KMS_INPUT_CALL, KMS_INPUT_ACCESS, KMS_INPUT_RECORD };

enum kms_input {
#define KMS_INPUT(member, key, kind, scope, usual) KMS_INPUT_OF_##member,
#include "kmsd/policy/input.def"
#undef KMS_INPUT
    KMS_INPUT_COUNT
};
#define KMS_INPUT_DEFAULT_ARN "arn:aws:kms:us-east-1:000000000000:key/" /* and the key's id */
const char *kms_input_name(enum kms_input input);                       /* member */
const char *kms_input_key(enum kms_input input);                        /* condition key */

/* What a record must say of the request, of this scope, to be able to ask it again: names, and values in
 * text. A value without pointer: absent although there usually is one. Borrowed from the request. */
size_t kms_inputs_of(const struct kms_access_request *request, enum kms_input_scope scope,
                     struct kms_pair inputs[KMS_INPUT_COUNT]);

/* One input from a record. Those that its record does not have: see kms_input_usual. False: no such input of
 * this scope, or not its kind of value. The request borrows the value. */
bool kms_input_read(struct kms_access_request *request, enum kms_input_scope scope, struct kms_bytes name,
                    struct kms_bytes value);
/* Sets every input but the resource to what records leave out. Action and resource must be set before. */
void kms_inputs_usual(struct kms_access_request *request);

/* One input by its condition key or its member's name, in any case, for a simulated request; a time as
 * 2026-11-22T12:00:00Z or seconds since 1970. INVALID_ARGUMENT: no such input, or no such value. The request
 * borrows the value. */
KMS_MUST_USE kms_err kms_input_set(struct kms_access_request *request, struct kms_bytes name,
                                   struct kms_bytes value, struct kms_why *why);

#endif
