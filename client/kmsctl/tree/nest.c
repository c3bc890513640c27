/* Keys and values by turns, level by level. */
#include "client/kmsctl/tree/nest.h"

#include <stdlib.h>
#include <string.h>

static struct ctl_level *top(ctl_nest *nest)
{
    return nest->depth > 0 ? &nest->levels[nest->depth - 1] : NULL;
}

static kms_err set_text(char **to, struct kms_bytes text)
{
    char *copy = kms_bytes_dup_text(text);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    free(*to);
    *to = copy;
    return KMS_OK;
}

/* A key or a value of the level on top has ended. */
static kms_err end_item(ctl_nest *nest, struct kms_bytes key)
{
    struct ctl_level *level = top(nest);
    if (level == NULL || !level->map) return KMS_OK;
    level->at_value = !level->at_value;
    return level->at_value ? set_text(&level->key, key) : KMS_OK;
}

static bool is_key(ctl_nest *nest)
{
    const struct ctl_level *level = top(nest);
    return level != NULL && level->map && !level->at_value;
}

kms_err ctl_nest_open(ctl_nest *nest, bool map)
{
    if (nest->depth == CTL_NEST_DEPTH) return KMS_FAIL(LIMIT_EXCEEDED);
    nest->levels[nest->depth++] = (struct ctl_level){.map = map};
    return KMS_OK;
}

static void drop_level(ctl_nest *nest)
{
    struct ctl_level *level = top(nest);
    free(level->key);
    free(level->name);
    nest->depth--;
}

bool ctl_nest_close(ctl_nest *nest, bool map)
{
    struct ctl_level *level = top(nest);
    if (level == NULL || level->map != map) return false;
    if (level->unnamed != 0 && level->name != NULL) {
        struct ctl_value *value = &nest->values->items[level->unnamed - 1];
        free(value->name);
        value->name = level->name;
        level->name = NULL;
    }
    drop_level(nest);
    return !kms_failed(end_item(nest, kms_bytes_of(NULL, 0)));
}

/* Of the member that a value belongs to, through the lists that it stands in. */
static struct kms_bytes name_here(const ctl_nest *nest)
{
    for (size_t i = nest->depth; i > 0; i--)
        if (nest->levels[i - 1].key != NULL) return kms_bytes_text(nest->levels[i - 1].key);
    return kms_bytes_of(NULL, 0);
}

/* A text of several lines, as a block of YAML is, ends in a line end; so does what an editor added. */
static struct kms_bytes without_end(struct kms_bytes text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL &&
           text.ptr[text.len - 1] != '\0')
        text.len--;
    return text;
}

static kms_err add(ctl_nest *nest, struct kms_bytes text, struct kms_bytes source)
{
    struct ctl_found found = {.name = name_here(nest), .value = without_end(text), .source = source};
    struct ctl_level *level = top(nest);
    const uint8_t *equals = text.len > 0 ? memchr(text.ptr, '=', text.len) : NULL;
    if (kms_ciphertext_is_text(text)) {
        KMS_TRY(ctl_values_add(nest->values, &found));
        if (level != NULL && level->map && strcmp(level->key, "value") == 0)
            level->unnamed = nest->values->count;
        return KMS_OK;
    }
    if (equals == NULL) return KMS_OK;
    found.name = kms_bytes_of(text.ptr, (size_t)(equals - text.ptr));
    found.value = kms_bytes_of(equals + 1, found.value.len - found.name.len - 1);
    bool named = kms_dotenv_name_valid(found.name) && kms_ciphertext_is_text(found.value);
    return named ? ctl_values_add(nest->values, &found) : KMS_OK;
}

kms_err ctl_nest_text(ctl_nest *nest, struct kms_bytes text, struct kms_bytes source)
{
    struct ctl_level *level = top(nest);
    if (is_key(nest)) return end_item(nest, text);
    if (level != NULL && level->map && strcmp(level->key, "name") == 0) KMS_TRY(set_text(&level->name, text));
    KMS_TRY(add(nest, text, source));
    return end_item(nest, text);
}

kms_err ctl_nest_other(ctl_nest *nest)
{
    return end_item(nest, kms_bytes_of(NULL, 0));
}

void ctl_nest_free(ctl_nest *nest)
{
    while (nest->depth > 0) drop_level(nest);
}
