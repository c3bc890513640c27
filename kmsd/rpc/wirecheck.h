/*
 * Looks at the wire bytes of a request before protobuf-c does, which cuts strings at NUL, does not check
 * UTF-8 and has no limit on the number of fields. What passes here, protobuf-c unpacks without loss.
 * Thread-safe. Encoding: https://protobuf.dev/programming-guides/encoding/
 */
#ifndef KMS_RPC_WIRECHECK_H
#define KMS_RPC_WIRECHECK_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

enum {
    KMS_WIRE_FIELDS = 1024,       /* most fields of a request */
    KMS_WIRE_BATCH_FIELDS = 8192, /* of one of many items */
    KMS_WIRE_DEPTH = 8,           /* messages in messages */
};

/* fields: how many there may be, sub-messages' and elements of packed fields included. INVALID_ARGUMENT; why
 * names the field: "field encryption_context[2].key: NUL byte". Unknown fields are skipped. */
KMS_MUST_USE kms_err kms_wirecheck(const ProtobufCMessageDescriptor *type, unsigned fields,
                                   struct kms_bytes wire, struct kms_why *why);

#endif
