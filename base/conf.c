/* Walks a YAML document along the table: everything in the file must be an option, and every option is found
 * once. */
#include "base/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/conf_value.h"

enum {
    NAME_BYTES = 160, /* of an option in messages */
    ROWS_MAX = 128,   /* of one section */
};

/* What stays the same through one file. */
struct file {
    const char *path;
    const char *folder; /* of path, with a slash at the end; "" for the working directory */
    yaml_document_t *document;
    struct kms_why *why;
};

/* One struct that is being filled. */
struct frame {
    const struct file *file;
    const struct kms_conf_section *section;
    void *values;
    bool *seen;        /* one for each row */
    const char *where; /* what its options are called before their own name: "listen.unix[0]." */
};

static size_t line_of(const yaml_node_t *node)
{
    return node != NULL ? node->start_mark.line + 1 : 1;
}

static kms_err refuse(const struct frame *f, const yaml_node_t *at, const char *name, const char *cause,
                      const char *allowed)
{
    kms_why_set(f->file->why, "%s:%zu: option '%s%.*s': %s%s%s", f->file->path, line_of(at), f->where,
                NAME_BYTES, name, cause, allowed[0] != '\0' ? "; allowed: " : "", allowed);
    return KMS_FAIL(CONFIG_INVALID);
}

static kms_err refuse_value(const struct frame *f, const yaml_node_t *at, const struct kms_conf_row *row,
                            const char *cause)
{
    KMS_OWN_BUF allowed = {0};
    KMS_TRY(kms_conf_range_print(row, &allowed));
    return refuse(f, at, row->name, cause, (const char *)allowed.data);
}

/* Names that may stand where an unknown one stood: those that share the mapping. */
static kms_err refuse_unknown(const struct frame *f, const yaml_node_t *at, const char *name,
                              size_t prefix_len)
{
    KMS_OWN_BUF allowed = {0};
    const char *last = "";
    size_t last_len = 0;
    for (size_t i = 0; i < f->section->count; i++) {
        const char *option = f->section->rows[i].name, *rest = option + prefix_len;
        if (strncmp(option, name, prefix_len) != 0) continue;
        size_t len = strcspn(rest, ".");
        if (len == last_len && strncmp(rest, last, len) == 0) continue; /* the same group again */
        KMS_TRY(kms_buf_print(&allowed, "%s%.*s", allowed.len > 0 ? ", " : "", (int)len, rest));
        last = rest;
        last_len = len;
    }
    return refuse(f, at, name, "no such option", (const char *)allowed.data);
}

static const struct kms_conf_row *find_row(const struct kms_conf_section *section, const char *name)
{
    for (size_t i = 0; i < section->count; i++)
        if (strcmp(section->rows[i].name, name) == 0) return &section->rows[i];
    return NULL;
}

static bool is_group(const struct kms_conf_section *section, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < section->count; i++)
        if (strncmp(section->rows[i].name, name, len) == 0 && section->rows[i].name[len] == '.') return true;
    return false;
}

static struct kms_bytes text_of(const yaml_node_t *node)
{
    return kms_bytes_of(node->data.scalar.value, node->data.scalar.length);
}

/* Nothing written after the colon, or YAML's words for nothing. */
static bool is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (kms_bytes_equal(text_of(node), kms_bytes_text(words[i]))) return true;
    return false;
}

static kms_err load_section(const struct file *file, const struct kms_conf_section *section,
                            const yaml_node_t *node, const char *where, void *values);

static yaml_node_t *node_at(const struct frame *f, int index)
{
    return yaml_document_get_node(f->file->document, index);
}

static kms_err load_strings(struct frame *f, const struct kms_conf_row *row, const yaml_node_t *node,
                            char **strings)
{
    const yaml_node_item_t *items = node->data.sequence.items.start;
    size_t count = kms_conf_count(row, f->values);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = node_at(f, items[i]);
        const char *cause = "";
        if (item->type != YAML_SCALAR_NODE) return refuse_value(f, item, row, "an item is not a text");
        kms_err err = kms_conf_string_new(text_of(item), 1, 1024, &strings[i], &cause);
        if (kms_is(err, KMS_E_CONFIG_INVALID)) return refuse_value(f, item, row, cause);
        KMS_TRY(err);
    }
    return KMS_OK;
}

static kms_err load_items(struct frame *f, const struct kms_conf_row *row, const yaml_node_t *node,
                          char *items)
{
    size_t count = kms_conf_count(row, f->values);
    for (size_t i = 0; i < count; i++) {
        char where[NAME_BYTES];
        snprintf(where, sizeof where, "%s%s[%zu].", f->where, row->name, i);
        KMS_TRY(load_section(f->file, row->items, node_at(f, node->data.sequence.items.start[i]), where,
                             items + i * row->items->bytes));
    }
    return KMS_OK;
}

/* The list belongs to the values at once, zeroed: whoever frees them after a failure frees what is there. */
static kms_err load_list(struct frame *f, const struct kms_conf_row *row, const yaml_node_t *node)
{
    if (is_null(node)) return KMS_OK;
    if (node->type != YAML_SEQUENCE_NODE) return refuse_value(f, node, row, "not a list");
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count > row->max) return refuse_value(f, node, row, "too many items");
    if (count == 0) return KMS_OK;
    bool strings = row->kind == KMS_CONF_STRINGS;
    void *items = calloc(count, strings ? sizeof(char *) : row->items->bytes);
    if (items == NULL) return KMS_FAIL(NO_MEMORY);
    kms_conf_pointer_set(f->values, row->offset, items);
    memcpy((char *)f->values + row->count_offset, &count, sizeof count);
    return strings ? load_strings(f, row, node, items) : load_items(f, row, node, items);
}

static kms_err set_value(struct frame *f, const struct kms_conf_row *row, const yaml_node_t *node,
                         struct kms_bytes text)
{
    struct kms_conf_input input = {text, f->file->folder};
    const char *cause = "";
    kms_err err = kms_conf_value_set(row, &input, f->values, &cause);
    return kms_is(err, KMS_E_CONFIG_INVALID) ? refuse_value(f, node, row, cause) : err;
}

static kms_err load_value(struct frame *f, const struct kms_conf_row *row, const yaml_node_t *node)
{
    if (kms_conf_is_list(row)) return load_list(f, row, node);
    if (node->type != YAML_SCALAR_NODE) return refuse_value(f, node, row, "not a single value");
    if (is_null(node)) return refuse_value(f, node, row, "no value");
    return set_value(f, row, node, text_of(node));
}

/* The full name of a key of the mapping called prefix ("" or "hsm."). */
static kms_err name_of(struct frame *f, const yaml_node_t *key, const char *prefix, char name[NAME_BYTES])
{
    struct kms_bytes text = key->type == YAML_SCALAR_NODE ? text_of(key) : (struct kms_bytes){0};
    size_t len = 0;
    while (len < text.len && len < 64 && text.ptr[len] > ' ' && text.ptr[len] < 127) len++;
    snprintf(name, NAME_BYTES, "%s%.*s", prefix, (int)len, len > 0 ? (const char *)text.ptr : "");
    if (len == 0 || len < text.len) return refuse(f, key, name, "a name that no option has", "");
    if (memchr(text.ptr, '.', len) != NULL)
        return refuse(f, key, name, "groups are written as mappings, without dots", "");
    return KMS_OK;
}

static kms_err load_mapping(struct frame *f, const yaml_node_t *node, const char *prefix)
{
    const yaml_node_pair_t *pairs = node->data.mapping.pairs.start, *end = node->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = pairs; p < end; p++) {
        const yaml_node_t *key = node_at(f, p->key), *value = node_at(f, p->value);
        char name[NAME_BYTES];
        KMS_TRY(name_of(f, key, prefix, name));
        for (const yaml_node_pair_t *q = pairs; q < p; q++)
            if (kms_bytes_equal(text_of(node_at(f, q->key)), text_of(key)))
                return refuse(f, key, name, "there twice", "");
        const struct kms_conf_row *row = find_row(f->section, name);
        if (row != NULL) {
            f->seen[row - f->section->rows] = true;
            KMS_TRY(load_value(f, row, value));
        } else if (!is_group(f->section, name)) {
            return refuse_unknown(f, key, name, strlen(prefix));
        } else if (value->type == YAML_MAPPING_NODE) {
            strncat(name, ".", NAME_BYTES - 1 - strlen(name));
            KMS_TRY(load_mapping(f, value, name));
        } else if (!is_null(value)) {
            return refuse(f, value, name, "not a group of options", "");
        }
    }
    return KMS_OK;
}

static kms_err load_defaults(struct frame *f, const yaml_node_t *node)
{
    for (size_t i = 0; i < f->section->count; i++) {
        const struct kms_conf_row *row = &f->section->rows[i];
        if (f->seen[i] || kms_conf_is_list(row)) continue;
        if (row->default_text == NULL) return refuse_value(f, node, row, "missing");
        KMS_TRY(set_value(f, row, node, kms_bytes_text(row->default_text)));
    }
    return KMS_OK;
}

static kms_err load_section(const struct file *file, const struct kms_conf_section *section,
                            const yaml_node_t *node, const char *where, void *values)
{
    bool seen[ROWS_MAX] = {false};
    struct frame frame = {file, section, values, seen, where};
    if (section->count > ROWS_MAX) return KMS_FAIL(INTERNAL);
    if (node != NULL && node->type == YAML_MAPPING_NODE)
        KMS_TRY(load_mapping(&frame, node, ""));
    else if (node != NULL && !is_null(node))
        return refuse(&frame, node, "", "not a group of options", "");
    return load_defaults(&frame, node);
}

static void free_row(const struct kms_conf_row *row, void *values)
{
    bool list = row->kind == KMS_CONF_LIST || row->kind == KMS_CONF_STRINGS;
    if (!list && row->kind != KMS_CONF_STRING && row->kind != KMS_CONF_PATH) return;
    char *memory = kms_conf_pointer(values, row->offset);
    size_t count = list && memory != NULL ? kms_conf_count(row, values) : 0;
    for (size_t i = 0; i < count; i++) {
        if (row->kind == KMS_CONF_LIST)
            kms_conf_free(row->items, memory + i * row->items->bytes);
        else
            free(kms_conf_pointer(memory, i * sizeof(char *)));
    }
    free(memory);
}

void kms_conf_free(const struct kms_conf_section *section, void *values)
{
    if (values == NULL) return;
    for (size_t i = 0; i < section->count; i++) free_row(&section->rows[i], values);
    memset(values, 0, section->bytes);
}

static kms_err load_document(const struct file *file, const struct kms_conf_section *section,
                             void *ret_values)
{
    void *values = calloc(1, section->bytes);
    if (values == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = load_section(file, section, yaml_document_get_root_node(file->document), "", values);
    if (kms_failed(err))
        kms_conf_free(section, values);
    else
        memcpy(ret_values, values, section->bytes);
    free(values);
    return err;
}

static kms_err not_yaml(const yaml_parser_t *parser, const char *path, struct kms_why *why)
{
    if (parser->error == YAML_MEMORY_ERROR) return KMS_FAIL(NO_MEMORY);
    const yaml_mark_t *mark = parser->problem_mark.line > 0 ? &parser->problem_mark : &parser->mark;
    kms_why_set(why, "%s:%zu: not YAML: %s", path, mark->line + 1,
                parser->problem != NULL ? parser->problem : "cannot be read");
    return KMS_FAIL(CONFIG_INVALID);
}

/* A second document in the file would be ignored silently, and is refused. */
static kms_err refuse_another(yaml_parser_t *parser, const char *path, struct kms_why *why)
{
    yaml_document_t document;
    if (yaml_parser_load(parser, &document) == 0) return not_yaml(parser, path, why);
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root != NULL) kms_why_set(why, "%s:%zu: a second document", path, line_of(root));
    kms_err err = root != NULL ? KMS_FAIL(CONFIG_INVALID) : KMS_OK;
    yaml_document_delete(&document);
    return err;
}

static kms_err parse(yaml_parser_t *parser, struct file *file, const struct kms_conf_section *section,
                     void *ret_values)
{
    yaml_document_t document;
    if (yaml_parser_load(parser, &document) == 0) return not_yaml(parser, file->path, file->why);
    file->document = &document;
    kms_err err = yaml_document_get_root_node(&document) != NULL
                      ? refuse_another(parser, file->path, file->why)
                      : KMS_OK;
    if (!kms_failed(err)) err = load_document(file, section, ret_values);
    yaml_document_delete(&document);
    return err;
}

kms_err kms_conf_parse(const struct kms_conf_section *section, const char *path, struct kms_bytes text,
                       void *ret_values, struct kms_why *why)
{
    const char *slash = strrchr(path, '/');
    KMS_OWN_BUF folder = {0};
    KMS_TRY(kms_buf_append(&folder, path, slash != NULL ? (size_t)(slash - path) + 1 : 0));
    struct file file = {.path = path, .folder = (const char *)folder.data, .why = why};
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) return KMS_FAIL(NO_MEMORY);
    yaml_parser_set_input_string(&parser, text.len > 0 ? text.ptr : (const uint8_t *)"", text.len);
    kms_err err = parse(&parser, &file, section, ret_values);
    yaml_parser_delete(&parser);
    return err;
}

kms_err kms_conf_load(const struct kms_conf_section *section, const char *path, void *ret_values,
                      struct kms_why *why)
{
    KMS_OWN_BUF text = {0};
    kms_err err = kms_read_file(path, KMS_CONF_FILE_BYTES, &text, why);
    if (kms_is(err, KMS_E_LIMIT_EXCEEDED)) return KMS_FAIL(CONFIG_INVALID); /* why says so */
    KMS_TRY(err);
    return kms_conf_parse(section, path, kms_buf_view(&text), ret_values, why);
}
