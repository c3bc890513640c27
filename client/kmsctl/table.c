/* JSON values as text for people. What comes from a server cannot move the cursor: control characters become
 * '?'. */
#include <string.h>

#include "client/kmsctl/output.h"

/* Length of the character at c when it moves the cursor, breaks the line or turns the direction: C0, DEL, C1,
 * line separators, direction marks and overrides; 0 for all others. */
static size_t unsafe_len(const unsigned char *c)
{
    if (c[0] < 0x20 || c[0] == 0x7f) return 1;
    if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f) return 2;
    if (c[0] != 0xe2) return 0;
    bool separator = c[1] == 0x80 && ((c[2] >= 0xa8 && c[2] <= 0xae) || c[2] == 0x8e || c[2] == 0x8f);
    bool isolate = c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
    return separator || isolate ? 3 : 0;
}

size_t ctl_put_safe(const char *text, FILE *out)
{
    size_t width = 0, unsafe;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c += unsafe > 0 ? unsafe : 1) {
        unsafe = unsafe_len(c);
        if ((*c & 0xc0) != 0x80) width++;
        if (out != NULL) fputc(unsafe > 0 ? '?' : *c, out);
    }
    return width;
}

void ctl_put_lines(const char *title, const char *text, FILE *out)
{
    char character[5] = "";
    bool fresh = true;
    fprintf(out, "\n%s:\n", title);
    for (const char *c = text; *c != '\0';) {
        size_t len = 1;
        while ((c[len] & 0xc0) == 0x80 && len + 1 < sizeof character) len++;
        if (fresh && *c != '\n') fputs("    ", out);
        fresh = *c == '\n';
        snprintf(character, sizeof character, "%.*s", (int)len, c);
        if (fresh)
            fputc('\n', out);
        else if (*c == '\t')
            fputs("    ", out);
        else if (c[0] != '\r' || c[1] != '\n')
            ctl_put_safe(character, out);
        c += len;
    }
    if (!fresh) fputc('\n', out);
}

/* Writes to out, or only measures when out is NULL, and tells the width in characters. */
static size_t put_cell(const json_t *value, FILE *out)
{
    char number[32];
    size_t width = 0, i;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return ctl_put_safe(json_string_length(value) > 0 ? json_string_value(value) : "-", out);
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return ctl_put_safe(number, out);
    case JSON_TRUE:
        return ctl_put_safe("yes", out);
    case JSON_FALSE:
        return ctl_put_safe("no", out);
    case JSON_ARRAY:
        json_array_foreach(value, i, item) width +=
            (i > 0 ? ctl_put_safe(", ", out) : 0) + put_cell(item, out);
        return width > 0 ? width : ctl_put_safe("-", out);
    default:
        return ctl_put_safe("-", out);
    }
}

static void pad(size_t width, size_t to, FILE *out)
{
    for (; width < to; width++) fputc(' ', out);
}

/* "key_id" becomes "Key id" or "KEY ID". */
static size_t put_name(const char *name, bool upper, FILE *out)
{
    for (size_t i = 0; name[i] != '\0' && out != NULL; i++) {
        bool raise = upper || i == 0;
        char c = name[i];
        if (c == '_')
            c = ' ';
        else if (raise && c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        fputc(c, out);
    }
    return strlen(name);
}

static void put_columns(const json_t *rows, FILE *out)
{
    const char *name;
    const json_t *cell;
    size_t row;
    json_t *first = json_array_get(rows, 0), *object;
    enum { COLUMNS = 16 };
    size_t widths[COLUMNS] = {0}, column;
    json_array_foreach(rows, row, object)
    {
        column = 0;
        json_object_foreach(object, name, cell)
        {
            size_t width = put_cell(cell, NULL), header = put_name(name, true, NULL);
            if (header > width) width = header;
            if (column < COLUMNS && width > widths[column]) widths[column] = width;
            column++;
        }
    }
    column = 0;
    size_t last = json_object_size(first);
    json_object_foreach(first, name, cell)
    {
        size_t width = put_name(name, true, out);
        if (++column < last && column <= COLUMNS) pad(width, widths[column - 1] + 2, out);
    }
    fputc('\n', out);
    json_array_foreach(rows, row, object)
    {
        column = 0;
        json_object_foreach(object, name, cell)
        {
            size_t width = put_cell(cell, out);
            if (++column < last && column <= COLUMNS) pad(width, widths[column - 1] + 2, out);
        }
        fputc('\n', out);
    }
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static void put_object(const json_t *object, FILE *out)
{
    const char *name;
    const json_t *value;
    size_t widest = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name,
                        value) if (!is_table(value) && strlen(name) > widest) widest = strlen(name);
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (is_table(value)) continue;
        size_t width = put_name(name, false, out);
        fputc(':', out);
        pad(width, widest + 1, out);
        put_cell(value, out);
        fputc('\n', out);
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!is_table(value)) continue;
        fputc('\n', out);
        put_name(name, false, out);
        fputs(":\n", out);
        put_columns(value, out);
    }
}

void ctl_table(const json_t *value, FILE *out)
{
    if (is_table(value))
        put_columns(value, out);
    else if (json_is_object(value))
        put_object(value, out);
    else if (!json_is_array(value)) {
        put_cell(value, out);
        fputc('\n', out);
    } else if (json_array_size(value) == 0) {
        fputs("none\n", out);
    }
}
