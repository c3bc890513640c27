/* Reads a descriptor set without a library: a dozen field numbers of messages in messages. */
#include "kmsd/rpc/descriptors.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256, DEPTH = 8, FIRST_SYMBOLS = 256 };

enum kind { SERVICE, METHOD, MESSAGE, ENUM };

struct symbol {
    char *name;
    enum kind kind;
    struct kms_bytes file;
};

struct kms_descriptors {
    struct kms_bytes set;
    struct symbol *symbols; /* by name, once all are there */
    size_t count, room;
};

/* --- the wire --- */

struct field {
    uint32_t number;
    struct kms_bytes value; /* of strings and messages; empty for others */
};

static bool varint(struct kms_bytes *rest, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
        uint8_t byte = *rest->ptr;
        *rest = kms_bytes_of(rest->ptr + 1, rest->len - 1);
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

/* False: at the end, or (rest not empty) at what is no field. Descriptors have varints and lengths only. */
static bool next(struct kms_bytes *rest, struct field *ret_field)
{
    struct kms_bytes at = *rest;
    uint64_t key, value;
    if (!varint(&at, &key) || !varint(&at, &value) || key >> 3 > UINT32_MAX) return false;
    *ret_field = (struct field){.number = (uint32_t)(key >> 3)};
    if ((key & 7) == 2) {
        if (value > at.len) return false;
        ret_field->value = kms_bytes_of(at.ptr, (size_t)value);
        at = kms_bytes_of(at.ptr + value, at.len - (size_t)value);
    } else if ((key & 7) != 0) {
        return false;
    }
    *rest = at;
    return true;
}

static struct kms_bytes member(struct kms_bytes message, uint32_t number)
{
    struct field field;
    struct kms_bytes found = {0};
    while (next(&message, &field))
        if (field.number == number) found = field.value;
    return found;
}

/* --- symbols --- */

static kms_err add(kms_descriptors *d, const char *name, enum kind kind, struct kms_bytes file)
{
    if (d->count == d->room) {
        size_t room = d->room == 0 ? FIRST_SYMBOLS : 2 * d->room;
        struct symbol *symbols = realloc(d->symbols, room * sizeof *symbols);
        if (symbols == NULL) return KMS_FAIL(NO_MEMORY);
        d->symbols = symbols;
        d->room = room;
    }
    char *copy = strdup(name);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    d->symbols[d->count++] = (struct symbol){.name = copy, .kind = kind, .file = file};
    return KMS_OK;
}

/* "scope.name"; scope "" leaves the name alone. */
static kms_err join(const char *scope, struct kms_bytes name, char text[NAME_BYTES])
{
    size_t len = strlen(scope);
    if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL || len + 1 + name.len >= NAME_BYTES)
        return KMS_FAIL(CORRUPT);
    memcpy(text, scope, len);
    if (len > 0) text[len++] = '.';
    memcpy(text + len, name.ptr, name.len);
    text[len + name.len] = '\0';
    return KMS_OK;
}

/* What a message of descriptor.proto holds that has names of its own: field number, what it is. */
struct inner {
    uint32_t number;
    enum kind kind;
};
static const struct inner in_file[] = {{4, MESSAGE}, {5, ENUM}, {6, SERVICE}, {0}},
                          in_message[] = {{3, MESSAGE}, {4, ENUM}, {0}}, in_service[] = {{2, METHOD}, {0}},
                          in_leaf[] = {{0}};
static const struct inner *const inside[] = {
    [SERVICE] = in_service, [METHOD] = in_leaf, [MESSAGE] = in_message, [ENUM] = in_leaf};

struct place {
    const char *scope;
    const struct inner *inner;
    struct kms_bytes file, rest;
};

static kms_err enter(kms_descriptors *d, struct place at, unsigned depth);

static kms_err enter_one(kms_descriptors *d, const struct place *at, const struct field *field,
                         unsigned depth)
{
    char name[NAME_BYTES];
    for (const struct inner *inner = at->inner; inner->number != 0; inner++) {
        if (inner->number != field->number) continue;
        KMS_TRY(join(at->scope, member(field->value, 1), name));
        KMS_TRY(add(d, name, inner->kind, at->file));
        const struct place below = {name, inside[inner->kind], at->file, field->value};
        return enter(d, below, depth + 1);
    }
    return KMS_OK;
}

/* At most DEPTH deep: as deep as messages stand in messages. */
static kms_err enter(kms_descriptors *d, struct place at, unsigned depth)
{
    struct field field;
    if (depth == DEPTH) return KMS_FAIL(CORRUPT);
    while (next(&at.rest, &field)) KMS_TRY(enter_one(d, &at, &field, depth));
    return at.rest.len == 0 ? KMS_OK : KMS_FAIL(CORRUPT);
}

static kms_err read_file(kms_descriptors *d, struct kms_bytes file)
{
    char package[NAME_BYTES] = "";
    struct kms_bytes name = member(file, 2);
    if (name.len > 0) KMS_TRY(join("", name, package));
    const struct place top = {package, in_file, file, file};
    return enter(d, top, 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static kms_err read_set(kms_descriptors *d)
{
    struct kms_bytes rest = d->set;
    struct field field;
    while (next(&rest, &field))
        if (field.number == 1) KMS_TRY(read_file(d, field.value));
    if (rest.len > 0) return KMS_FAIL(CORRUPT);
    if (d->count > 0) qsort(d->symbols, d->count, sizeof *d->symbols, by_name);
    return KMS_OK;
}

kms_err kms_descriptors_new(struct kms_bytes set, kms_descriptors **ret_descriptors)
{
    kms_descriptors *d = calloc(1, sizeof *d);
    if (d == NULL) return KMS_FAIL(NO_MEMORY);
    d->set = set;
    kms_err err = read_set(d);
    if (kms_failed(err))
        kms_descriptors_free(d);
    else
        *ret_descriptors = d;
    return err;
}

void kms_descriptors_free(kms_descriptors *descriptors)
{
    if (descriptors == NULL) return;
    for (size_t i = 0; i < descriptors->count; i++) free(descriptors->symbols[i].name);
    free(descriptors->symbols);
    free(descriptors);
}

/* --- questions --- */

struct kms_bytes kms_descriptors_file(const kms_descriptors *descriptors, const char *name)
{
    struct kms_bytes rest = descriptors->set;
    struct field field;
    while (next(&rest, &field)) {
        struct kms_bytes own = member(field.value, 1);
        if (own.len > 0 && own.len == strlen(name) && memcmp(own.ptr, name, own.len) == 0) return field.value;
    }
    return (struct kms_bytes){0};
}

static const struct symbol *find(const kms_descriptors *descriptors, const char *name)
{
    const struct symbol wanted = {.name = kms_lend(name)};
    if (descriptors->count == 0) return NULL;
    return bsearch(&wanted, descriptors->symbols, descriptors->count, sizeof wanted, by_name);
}

struct kms_bytes kms_descriptors_symbol(const kms_descriptors *descriptors, const char *symbol)
{
    const struct symbol *found = find(descriptors, symbol);
    return found != NULL ? found->file : (struct kms_bytes){0};
}

bool kms_descriptors_is_message(const kms_descriptors *descriptors, const char *symbol)
{
    const struct symbol *found = find(descriptors, symbol);
    return found != NULL && found->kind == MESSAGE;
}
