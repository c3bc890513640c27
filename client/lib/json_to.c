/* From JSON to a message. */
#include <string.h>

#include "base/text.h"
#include "client/lib/json.h"
#include "client/lib/message.h"

struct reading {
    kms_arena *arena;
    struct kms_why *why;
};

static kms_err wrong(struct reading *r, const ProtobufCFieldDescriptor *field, const char *wanted)
{
    kms_why_set(r->why, "%s: %s is wanted", field->name, wanted);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err take_text(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                         char **to)
{
    if (!json_is_string(value)) return wrong(r, field, "text");
    *to = kms_arena_print(r->arena, "%s", json_string_value(value));
    return *to != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err take_bytes(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                          ProtobufCBinaryData *to)
{
    struct kms_bytes text = kms_bytes_text(json_is_string(value) ? json_string_value(value) : "");
    to->data = kms_arena_alloc(r->arena, text.len + 1);
    if (to->data == NULL) return KMS_FAIL(NO_MEMORY);
    if (!json_is_string(value) || !kms_unbase64(text, to->data, &to->len)) return wrong(r, field, "base64");
    return KMS_OK;
}

/* By name, with or without the prefix of its type. */
static kms_err take_enum(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                         int *to)
{
    const ProtobufCEnumDescriptor *type = field->descriptor;
    const char *name = json_is_string(value) ? json_string_value(value) : "";
    size_t len = strlen(name);
    for (unsigned i = 0; len > 0 && i < type->n_values; i++) {
        const char *full = type->values[i].name;
        size_t full_len = strlen(full);
        bool same = strcmp(full, name) == 0;
        bool tail =
            full_len > len && full[full_len - len - 1] == '_' && strcmp(full + full_len - len, name) == 0;
        if (!same && !tail) continue;
        *to = type->values[i].value;
        return KMS_OK;
    }
    return wrong(r, field, "a value of its enum");
}

static kms_err take_number(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                           void *to)
{
    bool wide = field->type == PROTOBUF_C_TYPE_UINT64;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (!wide && number > UINT32_MAX))
        return wrong(r, field, "a number that is not negative");
    if (wide)
        *(uint64_t *)to = (uint64_t)number;
    else
        *(uint32_t *)to = (uint32_t)number;
    return KMS_OK;
}

static kms_err take_message(struct reading *r, const json_t *object, const ProtobufCMessageDescriptor *type,
                            ProtobufCMessage **ret_message);

static kms_err take_value(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                          void *to)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(value)) return wrong(r, field, "true or false");
        *(protobuf_c_boolean *)to = json_is_true(value);
        return KMS_OK;
    case PROTOBUF_C_TYPE_STRING:
        return take_text(r, field, value, to);
    case PROTOBUF_C_TYPE_BYTES:
        return take_bytes(r, field, value, to);
    case PROTOBUF_C_TYPE_ENUM:
        return take_enum(r, field, value, to);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!json_is_object(value)) return wrong(r, field, "an object");
        return take_message(r, value, field->descriptor, to);
    default:
        return take_number(r, field, value, to);
    }
}

/* A list; an object of texts for a map. */
static kms_err take_list(struct reading *r, const ProtobufCFieldDescriptor *field, const json_t *value,
                         ProtobufCMessage *message)
{
    size_t count = json_is_object(value) ? json_object_size(value) : json_array_size(value), i = 0;
    size_t each = kms_json_item_bytes(field);
    char *items = kms_arena_alloc(r->arena, (count + 1) * each);
    if (items == NULL) return KMS_FAIL(NO_MEMORY);
    if (json_is_object(value)) {
        const char *name;
        json_t *member;
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            json_t *entry = json_pack("{s:s, s:O}", "key", name, "value", member);
            kms_err err =
                entry != NULL ? take_value(r, field, entry, items + each * i++) : KMS_FAIL(NO_MEMORY);
            json_decref(entry);
            KMS_TRY(err);
        }
    } else if (json_is_array(value)) {
        for (; i < count; i++) KMS_TRY(take_value(r, field, json_array_get(value, i), items + each * i));
    } else {
        return wrong(r, field, "a list");
    }
    *(size_t *)(void *)((char *)message + field->quantifier_offset) = count;
    *(void **)(void *)((char *)message + field->offset) = items;
    return KMS_OK;
}

static kms_err take_message(struct reading *r, const json_t *object, const ProtobufCMessageDescriptor *type,
                            ProtobufCMessage **ret_message)
{
    ProtobufCMessage *message = kms_arena_alloc(r->arena, type->sizeof_message);
    if (message == NULL) return KMS_FAIL(NO_MEMORY);
    protobuf_c_message_init(type, message);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, name);
        if (field == NULL) {
            kms_why_set(r->why, "%s has no member %s", type->short_name, name);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            KMS_TRY(take_list(r, field, value, message));
            continue;
        }
        KMS_TRY(take_value(r, field, value, (char *)message + field->offset));
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
            *(uint32_t *)(void *)((char *)message + field->quantifier_offset) = field->id;
    }
    *ret_message = message;
    return KMS_OK;
}

kms_err kms_json_to(const json_t *object, const ProtobufCMessageDescriptor *type, kms_arena *arena,
                    ProtobufCMessage **ret_message, struct kms_why *why)
{
    struct reading r = {.arena = arena, .why = why};
    if (!json_is_object(object)) {
        kms_why_set(why, "a JSON object is wanted");
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return take_message(&r, object, type, ret_message);
}
