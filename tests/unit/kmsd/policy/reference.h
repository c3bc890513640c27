/*
 * A second evaluator, slow and plain, straight from the JSON and from AWS's text, sharing nothing with the
 * engine but the request. Only for documents that generate.c makes: their Id says what they
 * are attached to.
 */
#ifndef KMS_TESTS_POLICY_REFERENCE_H
#define KMS_TESTS_POLICY_REFERENCE_H

#include <jansson.h>

#include "kmsd/policy/policy.h"

enum kms_effect reference_decide(json_t *document, const struct kms_access_request *request);

#endif
