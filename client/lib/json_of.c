/* From a message to JSON. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/lib/json.h"

static json_t *base64_of(const ProtobufCBinaryData *data)
{
    char *text = malloc(kms_base64_len(data->len) + 1);
    if (text == NULL) return NULL;
    kms_base64(kms_bytes_of(data->data, data->len), text);
    json_t *value = json_string(text);
    free(text);
    return value;
}

/* "KEY_STATE_ENABLED" of KeyState is "ENABLED": the type's words come first in every value's name. */
static json_t *enum_of(const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (value == NULL) return json_integer(number); /* of a newer server */
    const char *name = value->name, *word = type->short_name;
    const char *at = name;
    while (*word != '\0' && *at != '\0') {
        if (*at == '_') at++;
        if (toupper((unsigned char)*word) != *at) return json_string(name);
        at++;
        word++;
    }
    return json_string(*at == '_' ? at + 1 : name);
}

static json_t *value_of(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(char *const *)at);
    case PROTOBUF_C_TYPE_BYTES:
        return base64_of(at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_of(field->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return kms_json_of(*(ProtobufCMessage *const *)at);
    case PROTOBUF_C_TYPE_UINT64:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case PROTOBUF_C_TYPE_INT64:
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_INT32:
        return json_integer(*(const int32_t *)at);
    default:
        return json_integer(*(const uint32_t *)at); /* no .proto of ours has others */
    }
}

size_t kms_json_item_bytes(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return sizeof(uint64_t);
    default:
        return sizeof(uint32_t);
    }
}

/* An entry of map<string, string> is a message of key and value. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    size_t len = strlen(entry->short_name);
    return entry->n_fields == 2 && len > 5 && strcmp(entry->short_name + len - 5, "Entry") == 0 &&
           strcmp(entry->fields[0].name, "key") == 0;
}

static json_t *map_of(const ProtobufCFieldDescriptor *field, ProtobufCMessage *const *entries, size_t count)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *name = *(char *const *)(const void *)((const char *)entries[i] + entry->fields[0].offset);
        json_object_set_new(map, name,
                            value_of(&entry->fields[1], (const char *)entries[i] + entry->fields[1].offset));
    }
    return map;
}

static json_t *list_of(const ProtobufCFieldDescriptor *field, const char *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, value_of(field, items + i * kms_json_item_bytes(field)));
    return list;
}

json_t *kms_json_of(const ProtobufCMessage *message)
{
    json_t *object = json_object();
    for (unsigned i = 0; object != NULL && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *base = (const char *)message, *at = base + field->offset;
        const void *quantifier = base + field->quantifier_offset;
        json_t *value;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)quantifier;
            const char *items = *(const char *const *)(const void *)at;
            value = is_map(field) ? map_of(field, (ProtobufCMessage *const *)(const void *)items, count)
                                  : list_of(field, items, count);
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                   *(const uint32_t *)quantifier != field->id) {
            continue;
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(void *const *)(const void *)at == NULL) {
            continue;
        } else {
            value = value_of(field, at);
        }
        json_object_set_new(object, field->name, value);
    }
    return object;
}

bool kms_json_secret(const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool bytes = field->type == PROTOBUF_C_TYPE_BYTES;
        if (bytes && (strstr(field->name, "plaintext") != NULL || strstr(field->name, "secret") != NULL))
            return true;
        if (strcmp(field->name, "secret_string") == 0 || strcmp(field->name, "random_password") == 0 ||
            strcmp(field->name, "password") == 0)
            return true;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor != type &&
            kms_json_secret(field->descriptor))
            return true;
    }
    return false;
}
