/*
 * The inputs of a decision by name (input.def): out of a request for its record, into a request from a record
 * or from somebody who asks what if. Thread-safe: values only.
 */
#ifndef KMS_POLICY_INPUT_H
#define KMS_POLICY_INPUT_H

#include "kmsd/policy/policy.h"
#include "kmsd/policy/pool.h"

enum kms_input_scope { KMS_INPUT_CALL, KMS_INPUT_ACCESS, KMS_INPUT_RECORD };

enum kms_input {
#define KMS_INPUT(member, key, kind, scope, usual) KMS_INPUT_OF_##member,
#define KMS_OPERATION_INPUT(member, key, kind)     KMS_INPUT_OF_##member,
#include "kmsd/policy/input.def"
#undef KMS_INPUT
#undef KMS_OPERATION_INPUT
    KMS_INPUT_COUNT
};
#define KMS_INPUT_DEFAULT_ARN "arn:aws:kms:us-east-1:000000000000:key/"
#define KMS_INPUT_ANY_KEY                                                                                    \
    KMS_INPUT_DEFAULT_ARN "00000000-0000-0000-0000-000000000000" /* where no key is meant */
const char *kms_input_name(enum kms_input input);                /* of the member */
const char *kms_input_key(enum kms_input input);                 /* condition key */

/* Names and values in text. A value without pointer: absent although there usually is one. */
enum {
    KMS_INPUT_PAIRS = 128,            /* fifty tags of a key, fifty of a request, and the rest */
    KMS_INPUT_TEXT_BYTES = 20 * 1024, /* names of tags are at most 128 characters */
};
struct kms_inputs {
    struct kms_pair pairs[KMS_INPUT_PAIRS];
    size_t count;
    bool cut; /* there was more than fits */
    char text[KMS_INPUT_TEXT_BYTES];
    size_t text_len;
};
/* What a record must say of the request, of this scope, to be able to ask it again. Borrows from the request
 * and from *ret_inputs, which may hold anything before. */
void kms_inputs_of(const struct kms_access_request *request, enum kms_input_scope scope,
                   struct kms_inputs *ret_inputs);

/* Sets the inputs of a request to what records leave out; principal, action, resource, context and time
 * stay. */
void kms_inputs_usual(struct kms_access_request *request);
/* One input from a record; those that it does not have are usual. The request borrows from it and from pool.
 * INVALID_ARGUMENT: no such input of this scope, or not its kind of value. NO_MEMORY. */
KMS_MUST_USE kms_err kms_input_read(struct kms_access_request *request, enum kms_input_scope scope,
                                    struct kms_pair input, struct kms_pool *pool);

/* One input by its condition key, in any case, for a simulated request: a time as 2026-11-22T12:00:00Z or
 * seconds since 1970; a key of many values gets one more. The request borrows from it and from pool.
 * INVALID_ARGUMENT: no such input, or not such a value; why says which. NO_MEMORY. */
KMS_MUST_USE kms_err kms_input_set(struct kms_access_request *request, struct kms_pair input,
                                   struct kms_pool *pool, struct kms_why *why);

#endif
