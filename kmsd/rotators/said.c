/* Blanks out what must not reach the log. A value shorter than 4 bytes is in every text, and is left. */
#include "kmsd/rotators/said.h"

#include <string.h>

#include "kmsd/rotators/value.h"

enum { SHORTEST = 4 };

struct blanking {
    char *text;
    size_t len, longest;    /* longest: of what was looked for */
    uint8_t *room, *quoted; /* for one string of a value, and for it as the question has it */
};

static void blank(struct blanking *b, struct kms_bytes needle)
{
    if (needle.len < SHORTEST) return;
    if (needle.len > b->longest) b->longest = needle.len;
    for (char *at = b->text, *end = b->text + b->len;
         (at = memmem(at, (size_t)(end - at), needle.ptr, needle.len)) != NULL; at += needle.len)
        memset(at, '*', needle.len);
}

/* Also as it stands in the question: within a JSON string. */
static void blank_both(struct blanking *b, struct kms_bytes needle)
{
    blank(b, needle);
    uint8_t *end = kms_value_put(b->quoted, needle);
    blank(b, kms_bytes_of(b->quoted + 1, (size_t)(end - b->quoted) - 2));
}

/* As it is written in the value, and as what it means. */
static void blank_string(void *user, struct kms_bytes inside)
{
    struct blanking *b = user;
    size_t len = kms_value_unescape(inside, b->room);
    blank_both(b, inside);
    if (len != SIZE_MAX) blank_both(b, kms_bytes_of(b->room, len));
}

static kms_err blank_value(struct blanking *b, struct kms_bytes value)
{
    if (value.len == 0) return KMS_OK;
    size_t quoted_len = kms_value_size(value), whole = value.len + quoted_len;
    uint8_t *memory = kms_locked_alloc(whole);
    if (memory == NULL) return KMS_FAIL(NO_MEMORY);
    b->room = memory;
    b->quoted = memory + value.len;
    blank_both(b, value);
    kms_value_each(value, blank_string, b);
    kms_locked_free(memory, whole);
    return KMS_OK;
}

static void store(struct kms_rotation *rotation, const struct blanking *b)
{
    size_t len = b->len < sizeof rotation->said - 1 ? b->len : sizeof rotation->said - 1;
    for (size_t i = 0; i < len; i++)
        rotation->said[i] = b->text[i] >= ' ' && b->text[i] <= '~' ? b->text[i] : ' ';
    while (len > 0 && rotation->said[len - 1] == ' ') len--;
    rotation->said[len] = '\0';
}

kms_err kms_rotation_say(struct kms_rotation *rotation, struct kms_bytes fresh, char *text, size_t len,
                         bool cut)
{
    struct blanking b = {.text = text, .len = len};
    rotation->said[0] = '\0';
    KMS_TRY(blank_value(&b, rotation->current.bytes));
    KMS_TRY(blank_value(&b, rotation->pending.bytes));
    KMS_TRY(blank_value(&b, rotation->previous.bytes));
    KMS_TRY(blank_value(&b, fresh));
    if (cut) b.len -= b.longest < b.len ? b.longest : b.len;
    store(rotation, &b);
    return KMS_OK;
}
