/* JSON values as text for people. What comes from a server cannot move the cursor: control characters become
 * '?'. */
#include <string.h>

#include "client/kmsctl/output.h"

/* Both write to out, or only measure when out is NULL, and tell the width in characters. */
static size_t put_text(const char *text, FILE *out)
{
    size_t width = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if ((*c & 0xc0) != 0x80) width++;
        if (out != NULL) fputc(*c < 0x20 || *c == 0x7f ? '?' : *c, out);
    }
    return width;
}

static size_t put_cell(const json_t *value, FILE *out)
{
    char number[32];
    size_t width = 0, i;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_STRING:
        return put_text(json_string_length(value) > 0 ? json_string_value(value) : "-", out);
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return put_text(number, out);
    case JSON_TRUE:
        return put_text("yes", out);
    case JSON_FALSE:
        return put_text("no", out);
    case JSON_ARRAY:
        json_array_foreach(value, i, item) width += (i > 0 ? put_text(", ", out) : 0) + put_cell(item, out);
        return width > 0 ? width : put_text("-", out);
    default:
        return put_text("-", out);
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
