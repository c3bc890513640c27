/*
 * From the public request of a use of a key to its message, for one call or an item of a batch: with the
 * checksum of what it carries. The message borrows from the request and from its maps. Thread-safe: no state.
 */
#ifndef KMS_CLIENT_FILL_H
#define KMS_CLIENT_FILL_H

#include "client/lib/context.h"
#include "kms/v1/crypto.pb-c.h"

typedef struct kms_filled {
    union {
        ProtobufCMessage base;
        Kms__V1__EncryptRequest encrypt;
        Kms__V1__DecryptRequest decrypt;
        Kms__V1__ReEncryptRequest re_encrypt;
        Kms__V1__GenerateDataKeyRequest data_key;
    } message;
    kms_context_map *maps[2];
} kms_filled;

/* request: the kms_..._request of its kind. False: no memory, or an entry of a context without name or value;
 * kms_filled_drop all the same. */
typedef bool kms_fill(const void *request, kms_filled *ret_filled);
kms_fill kms_fill_encrypt, kms_fill_decrypt, kms_fill_re_encrypt, kms_fill_data_key;
void kms_filled_drop(kms_filled *filled);

#endif
