/*
 * Requests of every method from hostile bytes: "Encrypt", a line feed, and what goes over the wire; of
 * foreign protocols ("sops.Encrypt"), whose requests must become such of ours that go over the wire, too;
 * of those that the transport answers itself ("health", "health-list", "reflection"). "gzip Encrypt" and
 * "deflate Encrypt": compressed. What the wire check accepts must unpack, and pack and unpack again to the
 * same; every string must be UTF-8 (protobuf-c would have cut it at a NUL).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "grpc/health/v1/health.pb-c.h"
#include "kmsd/dialect/dialect.h"
#include "kmsd/rpc/decode.h"
#include "kmsd/rpc/inflate.h"
#include "kmsd/rpc/reflection.h"
#include "kmsd/rpc/wirecheck.h"
#include "kmsd/service/method.h"

enum { ARENA_BYTES = 1 << 20, INFLATED_BYTES = 64 * 1024, STATUS_INTERNAL = 13 };

static const ProtobufCMessageDescriptor *const guests[] = {
    &grpc__health__v1__health_check_request__descriptor, &grpc__health__v1__health_list_request__descriptor,
    &grpc__reflection__v1__server_reflection_request__descriptor};
static const char *const guest_names[] = {"health", "health-list", "reflection"};
enum { GUESTS = sizeof guests / sizeof guests[0] };

static const struct kms_sops_key sops_keys[] = {
    {KMS_SOPS_KMS, "arn:aws:kms:us-east-1:111122223333:key/app", "alias/app"},
    {KMS_SOPS_AGE, "age1yt3", "alias/age"},
};
static const struct kms_pod_principal pods[] = {{"shop", "", "all of shop"}, {"shop", "web", "web"}};
static const struct kms_door door = {.sops_keys = sops_keys,
                                     .sops_key_count = 2,
                                     .key = "alias/etcd",
                                     .pods = pods,
                                     .pod_count = 2,
                                     .mount_objects = 8,
                                     .mount_bytes = 1 << 20};

/* One of: */
struct asked {
    const struct kms_method *method;
    const struct kms_dialect *dialect;
    const ProtobufCMessageDescriptor *guest;
};

static struct asked numbered(size_t i)
{
    if (i < kms_method_count) return (struct asked){.method = &kms_methods[i]};
    i -= kms_method_count;
    if (i < kms_dialect_count) return (struct asked){.dialect = &kms_dialects[i]};
    return (struct asked){.guest = guests[i - kms_dialect_count]};
}

static bool is_called(size_t i, struct kms_bytes name)
{
    char foreign[64];
    const struct asked asked = numbered(i);
    const char *own = asked.method != NULL ? asked.method->rpc : foreign;
    if (asked.dialect != NULL)
        snprintf(foreign, sizeof foreign, "%s.%s", kms_protocol_name(asked.dialect->protocol),
                 asked.dialect->rpc);
    if (asked.guest != NULL) own = guest_names[i - kms_method_count - kms_dialect_count];
    return kms_bytes_equal(name, kms_bytes_text(own));
}

/* What the name says; else what its first byte picks, so that no input is wasted. */
static struct asked pick(struct kms_bytes name, uint8_t first)
{
    size_t count = kms_method_count + kms_dialect_count + GUESTS;
    for (size_t i = 0; i < count; i++)
        if (is_called(i, name)) return numbered(i);
    return numbered(first % count);
}

static bool take(struct kms_bytes *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->ptr, word, len) != 0) return false;
    *text = kms_bytes_of(text->ptr + len, text->len - len);
    return true;
}

static unsigned fields_of(const struct kms_method *method)
{
    return method != NULL && method->item != NULL ? KMS_WIRE_BATCH_FIELDS : KMS_WIRE_FIELDS;
}

/* Members of a oneof share their place. */
static bool is_there(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) return true;
    const char *which = (const char *)message + field->quantifier_offset;
    return *(const uint32_t *)(const void *)which == field->id;
}

static void check_strings(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *at = (const char *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED) continue;
        if (!is_there(message, field)) continue;
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

static const struct kms_method *method_named(const char *rpc)
{
    for (size_t i = 0; i < kms_method_count; i++)
        if (strcmp(kms_methods[i].rpc, rpc) == 0) return &kms_methods[i];
    abort();
}

static void check_request(const struct kms_call *call, kms_arena *arena)
{
    if (call->request->descriptor != kms_method_codec(call->method)->input) abort();
    check_strings(call->request);
    check_round_trip(call->request, KMS_WIRE_FIELDS, arena);
}

static void check_packs(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len + 1);
    if (packed == NULL || protobuf_c_message_pack(message, packed) != len) abort();
    free(packed);
}

/* Several calls of ours, each by itself. */
static kms_err split(const struct kms_dialect *dialect, struct kms_call *call,
                     const ProtobufCMessage *message)
{
    struct kms_parts parts = {0};
    KMS_TRY(dialect->split->split(call, &door, message, &parts));
    if (parts.count < 1 || parts.count > door.mount_objects || parts.principal == NULL) abort();
    for (size_t i = 0; i < parts.count; i++) {
        struct kms_call part = {.method = call->method};
        kms_arena_init(&part.arena, ARENA_BYTES);
        kms_err err = dialect->split->from(&part, &parts, i);
        if (!kms_failed(err)) check_request(&part, &part.arena);
        if (dialect->split->name(call, &parts, i) == NULL) abort();
        kms_arena_wipe(&part.arena);
        KMS_TRY(err);
    }
    return KMS_OK;
}

/* A foreign request that passes is one of ours, or several; or there is an answer to it. */
static void translate(const struct kms_dialect *dialect, const ProtobufCMessage *message, kms_arena *arena)
{
    static kms_identity peer = {.refs = 1, .principal = "unix:peer"};
    struct kms_call call = {.method = method_named(dialect->method), .arena = *arena, .identity = &peer};
    const ProtobufCMessage *answer = NULL;
    kms_err err;
    if (dialect->split != NULL)
        err = split(dialect, &call, message);
    else if (dialect->answer != NULL)
        err = dialect->answer(&call, message, &answer);
    else
        err = dialect->from(&call, &door, message);
    if (answer != NULL) check_packs(answer);
    if (!kms_failed(err) && call.request != NULL) check_request(&call, &call.arena);
    if (kms_failed(err) && kms_err_grpc_status(err) == STATUS_INTERNAL) abort();
    *arena = call.arena;
}

static void reflect(const ProtobufCMessage *message, kms_arena *arena)
{
    static kms_descriptors *descriptors;
    static const char *const services[] = {"kms.v1.CryptoService", NULL};
    const Grpc__Reflection__V1__ServerReflectionResponse *response;
    if (descriptors == NULL && kms_failed(kms_descriptors_new(kms_descriptors_built_in(), &descriptors)))
        abort();
    kms_err err = kms_reflect(descriptors, services, (const void *)message, arena, &response);
    if (!kms_failed(err)) check_packs(&response->base);
}

static void decode(const struct asked *asked, struct kms_bytes wire)
{
    kms_arena arena;
    struct kms_why why;
    const ProtobufCMessage *message = NULL;
    const ProtobufCMessageDescriptor *type = asked->guest;
    if (asked->method != NULL) type = kms_method_codec(asked->method)->input;
    if (asked->dialect != NULL)
        type = protobuf_c_service_descriptor_get_method_by_name(asked->dialect->service, asked->dialect->rpc)
                   ->input;
    kms_arena_init(&arena, ARENA_BYTES);
    kms_err err = kms_decode(type, fields_of(asked->method), wire, &arena, &message, &why);
    if (!kms_failed(err)) {
        check_strings(message);
        check_round_trip(message, fields_of(asked->method), &arena);
        if (asked->dialect != NULL) translate(asked->dialect, message, &arena);
        if (asked->guest == guests[GUESTS - 1]) reflect(message, &arena);
    } else if (kms_is(err, KMS_E_INVALID_ARGUMENT) && strncmp(why.text, "field ", 6) != 0) {
        abort(); /* the wire check let through what protobuf-c does not take */
    }
    kms_arena_wipe(&arena);
}

static void decode_packed(const struct asked *asked, enum kms_packing packing, struct kms_bytes packed)
{
    struct kms_inflated wire = {0};
    kms_err err = kms_inflate(packing, packed, INFLATED_BYTES, &wire, NULL);
    if (!kms_failed(err) && (wire.len > INFLATED_BYTES || wire.room_len > INFLATED_BYTES + 1)) abort();
    if (!kms_failed(err)) decode(asked, kms_bytes_of(wire.room, wire.len));
    if (kms_failed(err) && err.code != KMS_E_LIMIT_EXCEEDED && err.code != KMS_E_BAD_COMPRESSION) abort();
    kms_inflated_free(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    const uint8_t *end = memchr(data, '\n', len);
    struct kms_bytes name = kms_bytes_of(data, end != NULL ? (size_t)(end - data) : 0);
    struct kms_bytes wire = kms_bytes_of(data + name.len + 1, len - name.len - 1);
    bool gzip = take(&name, "gzip "), deflate = !gzip && take(&name, "deflate ");
    const struct asked asked = pick(name, data[0]);
    if (gzip || deflate)
        decode_packed(&asked, gzip ? KMS_PACKED_GZIP : KMS_PACKED_DEFLATE, wire);
    else
        decode(&asked, wire);
    return 0;
}
