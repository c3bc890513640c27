/* A request as people read it. Thread-safe: no state. */
#ifndef KMS_SERVICE_REQUEST_JSON_H
#define KMS_SERVICE_REQUEST_JSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"

/* The fields of a message that are set, as a JSON object under their names; bytes, which may be secret, by
 * length and SHA-256 only. out must be empty. NO_MEMORY. */
KMS_MUST_USE kms_err kms_request_json(const ProtobufCMessage *message, kms_buf *out);

#endif
