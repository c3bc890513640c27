/* Reads manifests: JSON by jansson, YAML by the events of libyaml. */
#include "client/kmsctl/sealed/manifest.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/secret.h"
#include "client/kmsctl/output.h"

bool ctl_manifest_guard(struct ctl *ctl)
{
    mallopt(M_PERTURB, 0x55); /* libyaml has no allocator of ours: what it frees is overwritten */
    return ctl_output_secret(ctl);
}

struct reading {
    yaml_parser_t parser;
    struct kms_why *why;
    json_t *documents;
};

static kms_err refuse(struct reading *r, size_t line, const char *what)
{
    kms_why_set(r->why, "line %zu: %s", line + 1, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static void drop(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) kms_wipe(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static kms_err next(struct reading *r, yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&r->parser, ret_event) != 0) return KMS_OK;
    if (r->parser.error == YAML_MEMORY_ERROR) return KMS_FAIL(NO_MEMORY);
    return refuse(r, r->parser.problem_mark.line,
                  r->parser.problem != NULL ? r->parser.problem : "this is no YAML");
}

static bool among(const char *const *words, const char *text)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, text) == 0) return true;
    return false;
}

/* Digits, and what stands in numbers: 0x1f, 1_000, .inf, 1e3. */
static bool may_be_number(const char *text)
{
    const char *at = text + (text[0] == '-' || text[0] == '+');
    if (*at == '.' && strchr("iInN", at[1]) != NULL) return at[1] != '\0';
    return (*at >= '0' && *at <= '9') || (*at == '.' && at[1] >= '0' && at[1] <= '9');
}

/* Numbers of YAML 1.1 that look otherwise elsewhere, or are text there. */
static bool odd_number(const char *digits)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    const char *dot = strchr(digits, '.');
    if (among(words, digits)) return true;
    if (digits[0] == '0' && strchr("xXoObB", digits[1]) != NULL && digits[1] != '\0') return true;
    return strspn(digits, "0123456789_.") == strlen(digits) && (dot == NULL || strchr(dot + 1, '.') == NULL);
}

/* A decimal number becomes one; what only begins as one is text, like 1.2.3; NULL: neither is sure. */
static json_t *number_of(const char *text)
{
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    const size_t len = strlen(digits);
    if (strspn(digits, "0123456789") == len && len <= 18 && (digits[0] != '0' || len == 1))
        return json_integer(strtoll(text, NULL, 10));
    if (strspn(digits, "0123456789+-.eE") == len && (digits[0] != '0' || digits[1] == '.')) {
        char *end;
        double real = strtod(text, &end);
        if (*end == '\0') return json_real(real);
    }
    return odd_number(digits) ? NULL : json_string(text);
}

/* What text without quotes means. */
static kms_err resolve(struct reading *r, const yaml_event_t *event, json_t **ret_value)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                        "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const falses[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                         "False", "FALSE", "off", "Off", "OFF", NULL};
    const char *text = (const char *)event->data.scalar.value;
    *ret_value = among(nulls, text)    ? json_null()
                 : among(trues, text)  ? json_true()
                 : among(falses, text) ? json_false()
                 : may_be_number(text) ? number_of(text)
                                       : json_stringn(text, event->data.scalar.length);
    if (*ret_value != NULL) return KMS_OK;
    return refuse(r, event->start_mark.line,
                  "is this a number or a text? Write it in quotes, or as a decimal");
}

static kms_err scalar(struct reading *r, const yaml_event_t *event, json_t **ret_value)
{
    static const char *const of_text[] = {YAML_STR_TAG, "!", NULL};
    const char *tag = (const char *)event->data.scalar.tag;
    bool text = tag != NULL && among(of_text, tag);
    if (tag != NULL && !text) return refuse(r, event->start_mark.line, "tags are not taken");
    if (!text && event->data.scalar.plain_implicit && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return resolve(r, event, ret_value);
    *ret_value = json_stringn((const char *)event->data.scalar.value, event->data.scalar.length);
    return *ret_value != NULL ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

static kms_err node(struct reading *r, const yaml_event_t *event, unsigned depth, json_t **ret_value);

/* The name of a member, or the end of the mapping (then *ret_name is NULL). The caller frees it. */
static kms_err member_name(struct reading *r, const json_t *object, char **ret_name)
{
    yaml_event_t event;
    *ret_name = NULL;
    KMS_TRY(next(r, &event));
    kms_err err = KMS_OK;
    const char *text = event.type == YAML_SCALAR_EVENT ? (const char *)event.data.scalar.value : NULL;
    if (event.type == YAML_MAPPING_END_EVENT)
        err = KMS_OK;
    else if (text == NULL || strlen(text) != event.data.scalar.length)
        err = refuse(r, event.start_mark.line, "the name of a member is no text");
    else if (json_object_get(object, text) != NULL)
        err = refuse(r, event.start_mark.line, "this member is there already");
    else if ((*ret_name = strdup(text)) == NULL)
        err = KMS_FAIL(NO_MEMORY);
    drop(&event);
    return err;
}

static kms_err value(struct reading *r, unsigned depth, json_t **ret_value)
{
    yaml_event_t event;
    KMS_TRY(next(r, &event));
    kms_err err = node(r, &event, depth, ret_value);
    drop(&event);
    return err;
}

static kms_err mapping(struct reading *r, unsigned depth, json_t *object)
{
    for (;;) {
        char *name;
        json_t *member = NULL;
        KMS_TRY(member_name(r, object, &name));
        if (name == NULL) return KMS_OK;
        kms_err err = value(r, depth + 1, &member);
        if (!kms_failed(err) && json_object_set_new(object, name, member) != 0) err = KMS_FAIL(NO_MEMORY);
        free(name);
        KMS_TRY(err);
    }
}

static kms_err sequence(struct reading *r, unsigned depth, json_t *array)
{
    for (;;) {
        yaml_event_t event;
        json_t *item = NULL;
        KMS_TRY(next(r, &event));
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        kms_err err = end ? KMS_OK : node(r, &event, depth + 1, &item);
        drop(&event);
        if (end || kms_failed(err)) return err;
        if (json_array_append_new(array, item) != 0) return KMS_FAIL(NO_MEMORY);
    }
}

static kms_err node(struct reading *r, const yaml_event_t *event, unsigned depth, json_t **ret_value)
{
    if (depth > CTL_MANIFEST_DEPTH) return refuse(r, event->start_mark.line, "nested too deep");
    if (event->type == YAML_SCALAR_EVENT) return scalar(r, event, ret_value);
    if (event->type != YAML_MAPPING_START_EVENT && event->type != YAML_SEQUENCE_START_EVENT)
        return refuse(r, event->start_mark.line, "aliases are not taken: write the value there");
    bool map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (tag != NULL) return refuse(r, event->start_mark.line, "tags are not taken");
    json_t *made = map ? json_object() : json_array();
    if (made == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = map ? mapping(r, depth, made) : sequence(r, depth, made);
    if (kms_failed(err))
        json_decref(made);
    else
        *ret_value = made;
    return err;
}

/* Of a List, which is what kubectl prints for several objects; NULL: it is none. */
static json_t *items_of(const json_t *document)
{
    const char *kind = ctl_manifest_text(document, "kind"),
               *version = ctl_manifest_text(document, "apiVersion");
    json_t *items = json_object_get(document, "items");
    bool list = kind != NULL && strcmp(kind, "List") == 0 && version != NULL && strcmp(version, "v1") == 0;
    return list && json_is_array(items) ? items : NULL;
}

/* Takes the reference. */
static kms_err add_document(json_t *documents, json_t *document, struct kms_why *why)
{
    size_t at;
    json_t *item, *items = items_of(document);
    if (items != NULL || json_is_null(document)) {
        kms_err err = KMS_OK;
        json_array_foreach(items, at, item) if (!kms_failed(err)) err =
            add_document(documents, json_incref(item), why);
        json_decref(document);
        return err;
    }
    if (json_array_size(documents) < CTL_MANIFEST_DOCUMENTS)
        return json_array_append_new(documents, document) == 0 ? KMS_OK : KMS_FAIL(NO_MEMORY);
    json_decref(document);
    kms_why_set(why, "more than %d documents", CTL_MANIFEST_DOCUMENTS);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err read_yaml(struct reading *r)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        json_t *document = NULL;
        KMS_TRY(next(r, &event));
        more = event.type != YAML_STREAM_END_EVENT;
        bool begins = event.type == YAML_DOCUMENT_START_EVENT;
        drop(&event);
        if (!begins) continue;
        KMS_TRY(value(r, 0, &document));
        KMS_TRY(add_document(r->documents, document, r->why));
    }
    return KMS_OK;
}

/* What the parser still has of the text. */
static void wipe_parser(yaml_parser_t *parser)
{
    if (parser->raw_buffer.start != NULL)
        kms_wipe(parser->raw_buffer.start, (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    if (parser->buffer.start != NULL)
        kms_wipe(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    yaml_parser_delete(parser);
}

static kms_err all_yaml(struct kms_bytes text, json_t *documents, struct kms_why *why)
{
    struct reading r = {.why = why, .documents = documents};
    if (yaml_parser_initialize(&r.parser) == 0) return KMS_FAIL(NO_MEMORY);
    yaml_parser_set_input_string(&r.parser, text.ptr, text.len);
    kms_err err = read_yaml(&r);
    wipe_parser(&r.parser);
    return err;
}

static size_t skip_blanks(struct kms_bytes text, size_t at)
{
    while (at < text.len && strchr(" \t\r\n", text.ptr[at]) != NULL && text.ptr[at] != '\0') at++;
    return at;
}

static unsigned line_at(struct kms_bytes text, size_t at)
{
    unsigned line = 1;
    for (size_t i = 0; i < at && i < text.len; i++) line += text.ptr[i] == '\n';
    return line;
}

/* One object behind the other, as kubeseal prints them. */
static kms_err all_json(struct kms_bytes text, json_t *documents, struct kms_why *why)
{
    enum { HOW = JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL };
    for (size_t at = skip_blanks(text, 0); at < text.len; at = skip_blanks(text, at)) {
        json_error_t error; /* its text may quote the input */
        json_t *document = json_loadb((const char *)text.ptr + at, text.len - at, HOW, &error);
        if (document == NULL) {
            kms_why_set(why, "line %u: this is no JSON", line_at(text, at) + (unsigned)error.line - 1);
            return KMS_FAIL(INVALID_ARGUMENT);
        }
        at += (size_t)error.position;
        KMS_TRY(add_document(documents, document, why));
    }
    return KMS_OK;
}

kms_err ctl_manifest_read(struct kms_bytes text, json_t **ret_documents, struct kms_why *why)
{
    const size_t first = skip_blanks(text, 0);
    json_t *documents = json_array();
    if (documents == NULL) return KMS_FAIL(NO_MEMORY);
    bool json = first < text.len && text.ptr[first] == '{';
    kms_err err = json ? all_json(text, documents, why) : all_yaml(text, documents, why);
    if (kms_failed(err))
        json_decref(documents);
    else
        *ret_documents = documents;
    return err;
}

const char *ctl_manifest_text(const json_t *value, const char *path)
{
    for (const char *at = path; at != NULL;) {
        const char *dot = strchr(at, '.');
        value = json_object_getn(value, at, dot != NULL ? (size_t)(dot - at) : strlen(at));
        at = dot != NULL ? dot + 1 : NULL;
    }
    return json_string_value(value);
}
