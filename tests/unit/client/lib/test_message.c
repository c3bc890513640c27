/* Messages to and from byte buffers, and no plaintext left behind. */
#include "client/lib/message.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "kms/v1/crypto.pb-c.h"
#include "tests/harness/suite.h"

static grpc_byte_buffer *packed_secret(void)
{
    Kms__V1__DecryptResponse message;
    kms__v1__decrypt_response__init(&message);
    message.plaintext = kms_borrow_bytes((const uint8_t *)"marker", 6);
    return kms_message_pack(&message.base);
}

static bool slice_has(grpc_slice slice, const char *marker)
{
    return memmem(GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), marker, strlen(marker)) != NULL;
}

static void round_trip(void)
{
    grpc_byte_buffer *buffer = packed_secret();
    kms_arena arena;
    kms_arena_init(&arena, 64 * 1024);
    ProtobufCMessage *message = NULL;
    KMS_ASSERT_OK_FATAL(kms_message_unpack(buffer, &kms__v1__decrypt_response__descriptor, &arena, &message));
    const Kms__V1__DecryptResponse *reply = (const Kms__V1__DecryptResponse *)message;
    CU_ASSERT_EQUAL(reply->plaintext.len, 6);
    CU_ASSERT_EQUAL(memcmp(reply->plaintext.data, "marker", 6), 0);
    kms_arena_wipe(&arena);
    kms_buffer_destroy(buffer);
    kms_buffer_destroy(NULL);
}

static void buffers_are_wiped(void)
{
    grpc_byte_buffer *buffer = packed_secret();
    grpc_byte_buffer_reader reader;
    CU_ASSERT_TRUE_FATAL(grpc_byte_buffer_reader_init(&reader, buffer));
    grpc_slice slice; /* keeps the bytes alive beyond the buffer */
    CU_ASSERT_TRUE_FATAL(grpc_byte_buffer_reader_next(&reader, &slice));
    grpc_byte_buffer_reader_destroy(&reader);
    CU_ASSERT_TRUE(slice_has(slice, "marker"));
    kms_buffer_destroy(buffer);
    CU_ASSERT_FALSE(slice_has(slice, "marker"));
    grpc_slice_unref(slice);
}

/* What a buffer holds when it is given back; linked in by -Wl,--wrap. */
static bool gave_back_marker;
void __real_grpc_byte_buffer_destroy(grpc_byte_buffer *buffer);
void __wrap_grpc_byte_buffer_destroy(grpc_byte_buffer *buffer);
void __wrap_grpc_byte_buffer_destroy(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    CU_ASSERT_TRUE_FATAL(grpc_byte_buffer_reader_init(&reader, buffer));
    for (grpc_slice *slice = NULL; grpc_byte_buffer_reader_peek(&reader, &slice);)
        gave_back_marker = gave_back_marker || slice_has(*slice, "marker");
    grpc_byte_buffer_reader_destroy(&reader);
    __real_grpc_byte_buffer_destroy(buffer);
}

/* A short slice lies in the buffer itself, where a copy of it would be wiped in vain. */
static void short_buffers_are_wiped_too(void)
{
    grpc_slice slice = grpc_slice_from_copied_string("marker");
    CU_ASSERT_PTR_NULL_FATAL(slice.refcount); /* short: it has no memory of its own */
    grpc_byte_buffer *seen = grpc_raw_byte_buffer_create(&slice, 1);
    gave_back_marker = false;
    grpc_byte_buffer_destroy(seen); /* as it would be without us */
    CU_ASSERT_TRUE(gave_back_marker);
    gave_back_marker = false;
    kms_buffer_destroy(grpc_raw_byte_buffer_create(&slice, 1));
    CU_ASSERT_FALSE(gave_back_marker);
}

static void bad_and_oversized(void)
{
    grpc_slice junk = grpc_slice_from_copied_string("\xff\xff\xff\xff");
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&junk, 1);
    grpc_slice_unref(junk);
    kms_arena arena;
    kms_arena_init(&arena, 64 * 1024);
    ProtobufCMessage *message = NULL;
    KMS_ASSERT_CODE(kms_message_unpack(buffer, &kms__v1__decrypt_response__descriptor, &arena, &message),
                    INTERNAL);
    kms_buffer_destroy(buffer);
    buffer = packed_secret();
    kms_arena_init(&arena, 16);
    KMS_ASSERT_CODE(kms_message_unpack(buffer, &kms__v1__decrypt_response__descriptor, &arena, &message),
                    INTERNAL);
    CU_ASSERT_PTR_NULL(message);
    kms_buffer_destroy(buffer);
}

KMS_TEST_MAIN("client/lib/message", {"round trip", round_trip}, {"buffers are wiped", buffers_are_wiped},
              {"short buffers are wiped, too", short_buffers_are_wiped_too},
              {"bad and oversized messages", bad_and_oversized})
