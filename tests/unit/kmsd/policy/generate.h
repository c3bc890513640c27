/* Random documents and requests over few words, so that they often meet. Same seed, same result. */
#ifndef KMS_TESTS_POLICY_GENERATE_H
#define KMS_TESTS_POLICY_GENERATE_H

#include <jansson.h>

#include "kmsd/policy/policy.h"

/* Sets the kind to that of a key, too. */
void generate_seed(uint64_t seed);
/* Of what kind documents are from now on, but the service's: their Id says it ("key", "secret", "role"). And
 * requests are for such a thing. */
void generate_kind(enum kms_policy_kind of);
unsigned generate_below(unsigned bound);
/* calm: few conditions, and each principal leans to administration or to usage. The caller owns it. */
json_t *generate_document(bool calm);
json_t *generate_statement(bool calm);

struct generated {
    struct kms_access_request request;
    struct kms_pair pairs[4];
    struct kms_operation_inputs inputs;
};
void generate_request(struct generated *ret_generated);
const char *generate_resource(void);
const char *generate_principal(void); /* "stranger" is in no document */
/* Another time, address, key: what may change without the caller. */
void generate_surroundings(struct kms_access_request *request);

#endif
