/* Random bytes and the 128-bit ids of keys and requests (UUID version 4, RFC 9562). Thread-safe. */
#ifndef KMS_BASE_ID_H
#define KMS_BASE_ID_H

#include "base/bytes.h"

enum { KMS_ID_BYTES = 16, KMS_ID_TEXT = 37 }; /* 8-4-4-4-12 hex digits and NUL */

struct kms_id {
    uint8_t bytes[KMS_ID_BYTES];
};

/* From the kernel's generator (getrandom). INTERNAL when it fails; nothing may go on without it. */
KMS_MUST_USE kms_err kms_random(void *data, size_t len);
KMS_MUST_USE kms_err kms_id_new(struct kms_id *ret_id);
void kms_id_text(const struct kms_id *id, char text[KMS_ID_TEXT]); /* lower case */
bool kms_id_parse(struct kms_bytes text, struct kms_id *ret_id);   /* either case; false: not a UUID */
bool kms_id_equal(const struct kms_id *a, const struct kms_id *b);

#endif
