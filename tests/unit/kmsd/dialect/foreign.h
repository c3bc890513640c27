/* What the tests of dialects share: messages from hex, and a call without a transport. */
#ifndef KMS_TEST_FOREIGN_H
#define KMS_TEST_FOREIGN_H

#include "tests/unit/kmsd/service/world.h"

/* The caller frees it with protobuf_c_message_free_unpacked. */
static inline void *unpack(const ProtobufCMessageDescriptor *type, const char *hex)
{
    uint8_t wire[256];
    size_t len = strlen(hex) / 2;
    CU_ASSERT_FATAL(len <= sizeof wire && kms_unhex(hex, strlen(hex), wire, len));
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, len, wire);
    CU_ASSERT_PTR_NOT_NULL_FATAL(message);
    return message;
}

static inline bool is(ProtobufCBinaryData data, const char *text)
{
    return kms_bytes_equal(kms_bytes_of(data.data, data.len), kms_bytes_text(text));
}

static inline struct kms_call begin(void)
{
    static kms_identity peer = {.refs = 1 << 20, .principal = "unix:peer"};
    struct kms_call call = {.err = KMS_OK, .identity = kms_identity_ref(&peer)};
    kms_arena_init(&call.arena, 1 << 20);
    return call;
}

#endif
