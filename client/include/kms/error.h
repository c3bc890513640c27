/* What went wrong in a call of libkms. Plain data: copy it, keep it, no need to free it. */
#ifndef KMS_ERROR_H
#define KMS_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KMS_ERROR_REASON_BYTES = 64, KMS_ERROR_MESSAGE_BYTES = 512, KMS_ERROR_ID_BYTES = 37 };

/*
 * Every fallible function takes a `struct kms_error *` last, which may be NULL, and fills it when it answers
 * false. Programs match `reason`: it is stable ("ACCESS_DENIED", "KEY_DISABLED", ...; libkms(3) lists them).
 * When the server gave no reason, or none answered, it is the name of the gRPC code ("UNAVAILABLE").
 */
struct kms_error {
    int code;                              /* gRPC status code, 0 to 16 */
    char reason[KMS_ERROR_REASON_BYTES];   /* A-Z, 0-9 and _ */
    char message[KMS_ERROR_MESSAGE_BYTES]; /* for people: UTF-8 without control characters; may be cut */
    bool retryable; /* the same call may succeed later: UNAVAILABLE, RESOURCE_EXHAUSTED */
    char request_id[KMS_ERROR_ID_BYTES]; /* UUID of the call in the server's audit log; "": it said none */
};

/* The name of a gRPC status code, "PERMISSION_DENIED" for 7; "UNKNOWN" for anything else. Static. */
const char *kms_error_code_name(int code);

#ifdef __cplusplus
}
#endif

#endif
