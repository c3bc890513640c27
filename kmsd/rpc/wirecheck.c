/* Walks the fields of a message along its descriptor. */
#include "kmsd/rpc/wirecheck.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };
enum { NUMBER_MAX = (1 << 29) - 1, PATH_BYTES = 200 };

/* One message on the way down; the chain upwards names the place. */
struct level {
    const struct level *up;
    const ProtobufCMessageDescriptor *type;
    struct kms_bytes wire;
    size_t at;                             /* bytes read */
    const ProtobufCFieldDescriptor *field; /* the one being read; NULL: unknown */
    uint32_t number;
};

struct walk {
    unsigned fields_left, depth;
    struct kms_why *why;
};

/* Which element of a repeated field is being read is counted only when it has to be told. */
static size_t element_index(const struct level *level);

static void print_path(const struct level *level, struct kms_why *ret_text)
{
    if (level->up != NULL) print_path(level->up, ret_text);
    char part[PATH_BYTES] = "";
    const char *dot = level->up != NULL ? "." : "";
    if (level->field == NULL)
        snprintf(part, sizeof part, "%s%u", dot, level->number);
    else if (level->field->label == PROTOBUF_C_LABEL_REPEATED)
        snprintf(part, sizeof part, "%s%s[%zu]", dot, level->field->name, element_index(level));
    else
        snprintf(part, sizeof part, "%s%s", dot, level->field->name);
    size_t used = strlen(ret_text->text);
    snprintf(ret_text->text + used, sizeof ret_text->text - used, "%s", part);
}

static kms_err refuse(const struct walk *walk, const struct level *level, const char *what)
{
    struct kms_why path = {0};
    print_path(level, &path);
    kms_why_set(walk->why, "field %.*s: %s", PATH_BYTES, path.text, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

/* A varint is at most ten bytes; false: cut off or longer. */
static bool read_varint(struct level *level, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && level->at < level->wire.len; i++) {
        uint8_t byte = level->wire.ptr[level->at++];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Tag of the next field. False: not a tag that protobuf allows (groups are long gone from it). */
static bool read_tag(struct level *level, enum wire_type *ret_wire_type)
{
    uint64_t tag;
    size_t from = level->at;
    level->field = NULL;
    level->number = 0;
    if (!read_varint(level, &tag) || level->at - from > 5 || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
        return false;
    level->number = (uint32_t)(tag >> 3);
    level->field = protobuf_c_message_descriptor_get_field(level->type, level->number);
    *ret_wire_type = (enum wire_type)(tag & 7);
    return *ret_wire_type == WIRE_VARINT || *ret_wire_type == WIRE_64BIT || *ret_wire_type == WIRE_BYTES ||
           *ret_wire_type == WIRE_32BIT;
}

/* Steps over a value; ret_value is what a length-delimited one holds. False: it ends early. */
static bool read_value(struct level *level, enum wire_type wire_type, struct kms_bytes *ret_value)
{
    uint64_t len = 0;
    *ret_value = (struct kms_bytes){0};
    switch (wire_type) {
    case WIRE_VARINT:
        return read_varint(level, &len);
    case WIRE_64BIT:
        len = 8;
        break;
    case WIRE_32BIT:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(level, &len)) return false;
        break;
    }
    if (len > level->wire.len - level->at) return false;
    *ret_value = kms_bytes_of(level->wire.ptr + level->at, (size_t)len);
    level->at += (size_t)len;
    return true;
}

static size_t element_index(const struct level *level)
{
    struct level again = {.type = level->type, .wire = {level->wire.ptr, level->at}};
    size_t count = 0;
    enum wire_type wire_type;
    struct kms_bytes value;
    while (again.at < again.wire.len && read_tag(&again, &wire_type)) {
        count += again.number == level->number;
        if (!read_value(&again, wire_type, &value)) break;
    }
    return count > 0 ? count - 1 : 0;
}

static enum wire_type natural_wire_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64BIT;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* Elements of a packed field, counted like fields. */
static kms_err check_packed(struct walk *walk, const struct level *level, struct kms_bytes packed)
{
    struct level inner = {.wire = packed};
    enum wire_type wire_type = natural_wire_type(level->field->type);
    while (inner.at < packed.len) {
        struct kms_bytes value;
        if (walk->fields_left-- == 0) return refuse(walk, level, "more fields than a request may have");
        if (!read_value(&inner, wire_type, &value))
            return refuse(walk, level, "ends in the middle of a value");
    }
    return KMS_OK;
}

static kms_err check_message(struct walk *walk, struct level *level);

static kms_err check_value(struct walk *walk, const struct level *level, enum wire_type wire_type,
                           struct kms_bytes value)
{
    const ProtobufCFieldDescriptor *field = level->field;
    enum wire_type natural = natural_wire_type(field->type);
    if (wire_type != natural) {
        if (wire_type == WIRE_BYTES && field->label == PROTOBUF_C_LABEL_REPEATED)
            return check_packed(walk, level, value);
        return refuse(walk, level, "of another type than the protocol says");
    }
    if (field->type == PROTOBUF_C_TYPE_STRING && !kms_utf8_valid(value))
        return refuse(walk, level, memchr(value.ptr, 0, value.len) != NULL ? "NUL byte" : "not UTF-8");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (walk->depth == KMS_WIRE_DEPTH) return refuse(walk, level, "messages nested too deep");
        struct level inner = {.up = level, .type = field->descriptor, .wire = value};
        walk->depth++;
        kms_err err = check_message(walk, &inner);
        walk->depth--;
        return err;
    }
    return KMS_OK;
}

static kms_err check_message(struct walk *walk, struct level *level)
{
    while (level->at < level->wire.len) {
        enum wire_type wire_type;
        struct kms_bytes value;
        if (walk->fields_left-- == 0) return refuse(walk, level, "more fields than a request may have");
        if (!read_tag(level, &wire_type)) return refuse(walk, level, "not a field");
        if (!read_value(level, wire_type, &value))
            return refuse(walk, level, "ends in the middle of a value");
        if (level->field != NULL) KMS_TRY(check_value(walk, level, wire_type, value));
    }
    return KMS_OK;
}

kms_err kms_wirecheck(const ProtobufCMessageDescriptor *type, unsigned fields, struct kms_bytes wire,
                      struct kms_why *why)
{
    struct walk walk = {.fields_left = fields, .depth = 1, .why = why};
    struct level level = {.type = type, .wire = wire};
    return check_message(&walk, &level);
}
