/*
 * How many calls and acts of the service came to which end, by name and outcome. Knows methods by their
 * number only, so that who ends calls needs no table of them. Thread-safe.
 */
#ifndef KMS_SERVICE_TALLY_H
#define KMS_SERVICE_TALLY_H

#include "kmsd/service/internal.h"

/* It is over: call->err. */
void kms_tally_call(const struct kms_call *call);
void kms_tally_act(enum kms_internal what, kms_err err);

/* So many ended so since the process began. */
uint64_t kms_tally_of_calls(const struct kms_method *method, kms_err outcome);
uint64_t kms_tally_of_acts(enum kms_internal what, kms_err outcome);

#endif
