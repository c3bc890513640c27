/* Whether and when to try a call again. Pure functions, thread-safe. */
#ifndef KMS_CLIENT_RETRY_H
#define KMS_CLIENT_RETRY_H

#include <kms/error.h>
#include <stdint.h>

#include "client/lib/rpc.h"

/* Only UNAVAILABLE is tried again, and only when doing the call twice changes nothing.
 * has_token: the request carries a client_request_token. tried: attempts so far, from 1. */
bool kms_retry_allowed(enum kms_repeat repeat, bool has_token, const struct kms_error *error, uint32_t tried,
                       uint32_t attempts_max);

/* Microseconds to wait before the next attempt: 100 ms, doubled for each attempt before it, at most 2 s;
 * between half of that and all of it by random (any value), so that many clients do not come back at once. */
uint64_t kms_retry_wait_us(uint32_t tried, uint32_t random);

#endif
