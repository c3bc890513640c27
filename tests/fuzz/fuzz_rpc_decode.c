/*
 * Requests of every method from hostile bytes: the first byte picks the method. What the wire check accepts
 * must unpack, and pack and unpack again to the same; every string must be UTF-8 (protobuf-c would have cut
 * it at a NUL).
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "kms/v1/crypto.pb-c.h"
#include "kms/v1/keys.pb-c.h"
#include "kms/v1/policy.pb-c.h"
#include "kms/v1/system.pb-c.h"
#include "kmsd/rpc/decode.h"
#include "kmsd/rpc/wirecheck.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &kms__v1__crypto_service__descriptor, &kms__v1__key_service__descriptor,
    &kms__v1__policy_service__descriptor, &kms__v1__system_service__descriptor};

static const ProtobufCMessageDescriptor *pick(unsigned n)
{
    for (size_t s = 0; s < sizeof services / sizeof services[0]; s++) {
        if (n < services[s]->n_methods) return services[s]->methods[n].input;
        n -= services[s]->n_methods;
    }
    return kms__v1__crypto_service__descriptor.methods[0].input;
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
static void check_round_trip(const ProtobufCMessage *message, kms_arena *arena)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *first = malloc(len + 1), *second = malloc(len + 1);
    if (first == NULL || second == NULL) abort();
    const ProtobufCMessage *again = NULL;
    if (protobuf_c_message_pack(message, first) != len) abort();
    kms_err err =
        kms_decode(message->descriptor, KMS_WIRE_BATCH_FIELDS, kms_bytes_of(first, len), arena, &again, NULL);
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
    const ProtobufCMessageDescriptor *type = pick(data[0]);
    kms_arena_init(&arena, 1 << 20);
    kms_err err =
        kms_decode(type, KMS_WIRE_BATCH_FIELDS, kms_bytes_of(data + 1, len - 1), &arena, &message, &why);
    if (!kms_failed(err)) {
        check_strings(message);
        check_round_trip(message, &arena);
    } else if (kms_is(err, KMS_E_INVALID_ARGUMENT) && strncmp(why.text, "field ", 6) != 0) {
        abort(); /* the wire check let through what protobuf-c does not take */
    }
    kms_arena_wipe(&arena);
    return 0;
}
