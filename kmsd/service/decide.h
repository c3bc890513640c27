/* The one place where policy is asked. */
#ifndef KMS_SERVICE_DECIDE_H
#define KMS_SERVICE_DECIDE_H

#include "kmsd/keys/key.h"
#include "kmsd/keys/name.h"
#include "kmsd/service/call.h"

/* Answers every access of the call; all must allow. ACCESS_DENIED names the action that is missing, and does
 * not tell whether the key exists or what else is wrong with the request; NOT_FOUND only to who may list keys
 * anyway. */
KMS_MUST_USE kms_err kms_decide(struct kms_call *call);

/* What policy is asked about one access, and which key it concerns. The same whenever it is made: the record
 * of a call says what its decision was made from. Borrows from call and access. */
struct kms_question {
    char arn[KMS_ARN_BYTES];
    const char *key_id; /* of a key that exists, or is about to; else NULL */
    struct kms_pair tags[KMS_TAGS_MAX];
    struct kms_access_request request;
};
void kms_question_of(const struct kms_call *call, const struct kms_access *access,
                     struct kms_question *ret_question);

#endif
