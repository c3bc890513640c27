/*
 * Requests of every method from hostile bytes: "Encrypt", a line feed, and what goes over the wire. What the
 * wire check accepts must unpack, and pack and unpack again to the same; every string must be UTF-8
 * (protobuf-c would have cut it at a NUL).
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kmsd/rpc/decode.h"
#include "kmsd/rpc/wirecheck.h"
#include "kmsd/service/method.h"

/* The method whose name the bytes begin with; else one that their first byte picks, so that no input is
 * wasted. */
static const struct kms_method *pick(struct kms_bytes data, struct kms_bytes *ret_wire)
{
    const uint8_t *end = memchr(data.ptr, '\n', data.len);
    size_t len = end != NULL ? (size_t)(end - data.ptr) : 0;
    *ret_wire = kms_bytes_of(data.ptr + len + 1, data.len - len - 1);
    for (size_t i = 0; i < kms_method_count; i++)
        if (kms_bytes_equal(kms_bytes_of(data.ptr, len), kms_bytes_text(kms_methods[i].rpc)))
            return &kms_methods[i];
    return &kms_methods[data.ptr[0] % kms_method_count];
}

static unsigned fields_of(const struct kms_method *method)
{
    return method->item != NULL ? KMS_WIRE_BATCH_FIELDS : KMS_WIRE_FIELDS;
}

static void check_strings(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *at = (const char *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED) continue;
        const char *text = *(char *const *)(const void *)at;
        if (text != NULL && !kms_utf8_valid(kms_bytes_text(text))) abort();
    }
}

/* The same bytes again, so that nothing was lost between wire and message. */
static void check_round_trip(const ProtobufCMessage *message, unsigned fields, kms_arena *arena)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *first = malloc(len + 1), *second = malloc(len + 1);
    if (first == NULL || second == NULL) abort();
    const ProtobufCMessage *again = NULL;
    if (protobuf_c_message_pack(message, first) != len) abort();
    kms_err err = kms_decode(message->descriptor, fields, kms_bytes_of(first, len), arena, &again, NULL);
    if (kms_failed(err) && !kms_is(err, KMS_E_NO_MEMORY)) abort();
    if (!kms_failed(err) &&
        (protobuf_c_message_get_packed_size(again) != len || protobuf_c_message_pack(again, second) != len ||
         !kms_bytes_equal(kms_bytes_of(first, len), kms_bytes_of(second, len))))
        abort();
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    kms_arena arena;
    struct kms_why why;
    const ProtobufCMessage *message = NULL;
    struct kms_bytes wire;
    const struct kms_method *method = pick(kms_bytes_of(data, len), &wire);
    kms_arena_init(&arena, 1 << 20);
    kms_err err =
        kms_decode(kms_method_codec(method)->input, fields_of(method), wire, &arena, &message, &why);
    if (!kms_failed(err)) {
        check_strings(message);
        check_round_trip(message, fields_of(method), &arena);
    } else if (kms_is(err, KMS_E_INVALID_ARGUMENT) && strncmp(why.text, "field ", 6) != 0) {
        abort(); /* the wire check let through what protobuf-c does not take */
    }
    kms_arena_wipe(&arena);
    return 0;
}
