/* Any message as JSON, by its descriptor. */
#include "kmsd/service/request_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static json_t *bytes_shown(const ProtobufCBinaryData *data)
{
    KMS_OWN(kms_digest) digest = NULL;
    uint8_t out[KMS_DIGEST_BYTES];
    char hex[2 * KMS_DIGEST_BYTES + 1];
    const struct kms_bytes part = kms_bytes_of(data->data, data->len);
    if (kms_failed(kms_digest_new(&digest)) || kms_failed(kms_digest_run(digest, &part, 1, out))) return NULL;
    kms_hex(out, sizeof out, hex);
    return json_pack("{s:I, s:s}", "bytes", (json_int_t)data->len, "sha256", hex);
}

static json_t *enum_shown(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *named = protobuf_c_enum_descriptor_get_value(type, value);
    return named != NULL ? json_string(named->name) : json_integer(value);
}

static json_t *object_of(const ProtobufCMessage *message);

/* One value; *ret_set is whether it differs from the default of its type. */
static json_t *value_of(const ProtobufCFieldDescriptor *field, const void *at, bool *ret_set)
{
    const char *text;
    const ProtobufCMessage *inner;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        text = *(char *const *)at;
        *ret_set = text != NULL && text[0] != '\0';
        return json_string(*ret_set ? text : "");
    case PROTOBUF_C_TYPE_BYTES:
        *ret_set = ((const ProtobufCBinaryData *)at)->len > 0;
        return bytes_shown(at);
    case PROTOBUF_C_TYPE_BOOL:
        *ret_set = *(const protobuf_c_boolean *)at != 0;
        return json_boolean(*ret_set);
    case PROTOBUF_C_TYPE_ENUM:
        *ret_set = *(const int *)at != 0;
        return enum_shown(field->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_MESSAGE:
        inner = *(ProtobufCMessage *const *)at;
        *ret_set = inner != NULL;
        return inner != NULL ? object_of(inner) : json_null();
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        *ret_set = *(const int64_t *)at != 0;
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        *ret_set = *(const uint32_t *)at != 0;
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        *ret_set = *(const int32_t *)at != 0;
        return json_integer(*(const int32_t *)at);
    default: /* no request of ours has a floating point number */
        return NULL;
    }
}

/* How far apart the elements of a repeated field lie. */
static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

static json_t *list_of(const ProtobufCFieldDescriptor *field, const void *list, size_t count)
{
    json_t *items = json_array();
    bool set;
    for (size_t i = 0; items != NULL && i < count; i++) {
        if (json_array_append_new(items, value_of(field, (const char *)list + i * size_of(field), &set)) == 0)
            continue;
        json_decref(items);
        return NULL;
    }
    return items;
}

/* NULL: no memory. *ret_set: whether the field says anything. */
static json_t *field_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, bool *ret_set)
{
    const char *base = (const char *)message;
    const void *at = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        *ret_set = count > 0;
        return list_of(field, *(const void *const *)at, count);
    }
    bool of_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (of_oneof && *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id) {
        *ret_set = false;
        return json_null();
    }
    json_t *value = value_of(field, at, ret_set);
    if (of_oneof) *ret_set = true;
    return value;
}

static json_t *object_of(const ProtobufCMessage *message)
{
    json_t *object = json_object();
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; object != NULL && i < type->n_fields; i++) {
        bool set = false;
        json_t *value = field_of(message, &type->fields[i], &set);
        if (value != NULL && !set) {
            json_decref(value);
            continue;
        }
        if (json_object_set_new(object, type->fields[i].name, value) == 0) continue; /* refuses NULL */
        json_decref(object);
        return NULL;
    }
    return object;
}

kms_err kms_request_json(const ProtobufCMessage *message, kms_buf *out)
{
    json_t *object = object_of(message);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    kms_err err = text != NULL ? kms_buf_append(out, text, strlen(text)) : KMS_FAIL(NO_MEMORY);
    free(text);
    return err;
}
