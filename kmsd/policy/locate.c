/* Walks well-formed JSON along a path. Only documents that are refused are walked. */
#include "kmsd/policy/locate.h"

#include <jansson.h>
#include <string.h>

static size_t skip_space(struct kms_bytes json, size_t at)
{
    while (at < json.len && memchr(" \t\r\n", json.ptr[at], 4) != NULL) at++;
    return at;
}

/* From the opening quote to behind the closing one. */
static size_t skip_string(struct kms_bytes json, size_t at)
{
    for (at++; at < json.len && json.ptr[at] != '"'; at++)
        if (json.ptr[at] == '\\') at++;
    return at + 1;
}

static size_t skip_value(struct kms_bytes json, size_t at)
{
    size_t depth = 0;
    do {
        uint8_t c = json.ptr[at];
        if (c == '"') {
            at = skip_string(json, at);
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        at++;
        bool scalar = depth == 0 && c != '}' && c != ']';
        while (scalar && at < json.len && memchr(",]} \t\r\n", json.ptr[at], 7) == NULL) at++;
    } while (depth > 0 && at < json.len);
    return at;
}

/* The parser decides what a name with escapes is called. */
static bool is_called(struct kms_bytes name, const char *wanted)
{
    json_t *text = json_loadb((const char *)name.ptr, name.len, JSON_DECODE_ANY, NULL);
    bool same = json_is_string(text) && strcmp(json_string_value(text), wanted) == 0;
    json_decref(text);
    return same;
}

/* The member's name in the object at *at, which goes to its value. */
static bool find_member(struct kms_bytes json, const char *member, size_t *at, size_t *ret_name_at)
{
    size_t next = *at;
    if (next >= json.len || json.ptr[next] != '{') return false;
    do {
        size_t name = skip_space(json, next + 1);
        if (name >= json.len || json.ptr[name] != '"') return false;
        size_t end = skip_string(json, name);
        size_t value = skip_space(json, skip_space(json, end) + 1); /* behind the colon */
        if (value >= json.len) return false;
        if (is_called(kms_bytes_of(json.ptr + name, end - name), member)) {
            *at = value;
            *ret_name_at = name;
            return true;
        }
        next = skip_space(json, skip_value(json, value));
    } while (next < json.len && json.ptr[next] == ',');
    return false;
}

static bool find_item(struct kms_bytes json, size_t index, size_t *at)
{
    if (*at >= json.len || json.ptr[*at] != '[') return false;
    size_t item = skip_space(json, *at + 1);
    if (item >= json.len || json.ptr[item] == ']') return false;
    for (size_t i = 0; i < index; i++) {
        size_t comma = skip_space(json, skip_value(json, item));
        if (comma >= json.len || json.ptr[comma] != ',') return false;
        item = skip_space(json, comma + 1);
    }
    *at = item;
    return true;
}

struct kms_place kms_place_of(struct kms_bytes text, size_t at)
{
    struct kms_place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < at && i < text.len; i++) {
        place.column += (text.ptr[i] & 0xc0) != 0x80; /* bytes that continue a character count with it */
        if (text.ptr[i] != '\n') continue;
        place.line++;
        place.column = 1;
    }
    return place;
}

struct kms_place kms_locate(struct kms_bytes json, const struct kms_path *path)
{
    size_t at = skip_space(json, 0), mark = at;
    for (size_t i = 0; i < path->depth; i++) {
        const struct kms_step *step = &path->steps[i];
        if (step->member != NULL) {
            if (!find_member(json, step->member, &at, &mark)) break;
        } else if (find_item(json, step->index, &at)) {
            mark = at;
        }
    }
    return kms_place_of(json, mark);
}
