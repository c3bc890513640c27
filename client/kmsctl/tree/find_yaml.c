/* Reads YAML by the events of libyaml, which tell of every text where it stands. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "client/kmsctl/tree/find.h"
#include "client/kmsctl/tree/nest.h"

/* libyaml counts characters, the text has bytes. Places are asked for in rising order. */
struct cursor {
    struct kms_bytes text;
    size_t characters, bytes;
};

static size_t byte_of(struct cursor *cursor, size_t character)
{
    while (cursor->characters < character && cursor->bytes < cursor->text.len) {
        cursor->bytes++;
        while (cursor->bytes < cursor->text.len && (cursor->text.ptr[cursor->bytes] & 0xc0) == 0x80)
            cursor->bytes++;
        cursor->characters++;
    }
    return cursor->bytes;
}

typedef struct parsing {
    yaml_parser_t parser;
    struct cursor cursor;
    ctl_nest nest;
} parsing;

static void parsing_free(parsing *p)
{
    yaml_parser_delete(&p->parser);
    ctl_nest_free(&p->nest);
}

static kms_err take_scalar(parsing *p, const yaml_event_t *event)
{
    const uint8_t *text = p->cursor.text.ptr;
    size_t from = byte_of(&p->cursor, event->start_mark.index);
    size_t to = byte_of(&p->cursor, event->end_mark.index);
    return ctl_nest_text(&p->nest, kms_bytes_of(event->data.scalar.value, event->data.scalar.length),
                         kms_bytes_of(text + from, to - from));
}

static kms_err take(parsing *p, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(p, event);
    case YAML_ALIAS_EVENT:
        return ctl_nest_other(&p->nest);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return ctl_nest_open(&p->nest, event->type == YAML_MAPPING_START_EVENT);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return ctl_nest_close(&p->nest, event->type == YAML_MAPPING_END_EVENT) ? KMS_OK : KMS_FAIL(NO_MEMORY);
    default:
        return KMS_OK;
    }
}

static kms_err not_yaml(const yaml_parser_t *parser, struct kms_why *why)
{
    if (parser->error == YAML_MEMORY_ERROR) return KMS_FAIL(NO_MEMORY);
    kms_why_set(why, "not YAML: line %zu: %s", parser->problem_mark.line + 1,
                parser->problem != NULL ? parser->problem : "it cannot be read");
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err ctl_find_yaml(ctl_values *values, struct kms_why *why)
{
    __attribute__((cleanup(parsing_free)))
    parsing p = {.cursor = {.text = values->text}, .nest = {.values = values}};
    const struct kms_bytes text = values->text;
    if (yaml_parser_initialize(&p.parser) == 0) return KMS_FAIL(NO_MEMORY);
    yaml_parser_set_input_string(&p.parser, text.ptr, text.len);
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        p.cursor.bytes = 3; /* a byte order mark, which libyaml does not count */
    for (bool more = true; more;) {
        yaml_event_t event;
        if (yaml_parser_parse(&p.parser, &event) == 0) return not_yaml(&p.parser, why);
        kms_err err = take(&p, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (kms_is(err, KMS_E_LIMIT_EXCEEDED))
            kms_why_set(why, "nested deeper than %d levels", CTL_NEST_DEPTH);
        KMS_TRY(err);
    }
    return KMS_OK;
}
