/* The one place where policy is asked. */
#ifndef KMS_SERVICE_DECIDE_H
#define KMS_SERVICE_DECIDE_H

#include "kmsd/service/call.h"

/* Answers every access of the call; all must allow. ACCESS_DENIED names the action that is missing, and does
 * not tell whether the key exists or what else is wrong with the request; NOT_FOUND only to who may list keys
 * anyway. */
KMS_MUST_USE kms_err kms_decide(struct kms_call *call);

#endif
