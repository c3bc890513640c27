/* Columns by the dictionary (kmsd/audit/fields.def). */
#include "client/kmsctl/record_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "client/kmsctl/output.h"

enum { NUMBER_BYTES = 24 };

enum ctl_record_form ctl_record_form(const char *output)
{
    if (output == NULL) return CTL_RECORD_TABLE;
    if (strcmp(output, "csv") == 0) return CTL_RECORD_CSV;
    return strcmp(output, "json") == 0 ? CTL_RECORD_JSON : CTL_RECORD_TABLE;
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

/* Time, number, kind, what became of it, what, on which key, who. */
static void put_table(const json_t *record, FILE *out)
{
    const json_t *access = json_array_get(json_object_get(record, "access"), 0);
    const char *key = text_at(access, "key_id");
    if (strcmp(key, "-") == 0) key = text_at(access, "key_named");
    const struct {
        const char *text;
        size_t width;
    } cells[] = {{text_at(record, "kind"), 8},
                 {text_at(record, "outcome"), 20},
                 {text_at(record, "operation"), 17},
                 {key, 36},
                 {text_at(record, "principal"), 0}};
    ctl_put_safe(text_at(record, "time"), out);
    fprintf(out, "  %8" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(record, "seq")));
    for (size_t i = 0, pad = 0; i < sizeof cells / sizeof cells[0]; i++) {
        fprintf(out, "%*s  ", (int)pad, "");
        size_t width = ctl_put_safe(cells[i].text, out);
        pad = width < cells[i].width ? cells[i].width - width : 0;
    }
    fputc('\n', out);
}

void ctl_csv_cell(const char *text, FILE *out)
{
    bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
    bool quoted = formula || strpbrk(text, ",\"\r\n ") != NULL;
    if (quoted) fputc('"', out);
    if (formula) fputc('\'', out);
    for (const char *part = text; *part != '\0';) {
        char piece[512];
        size_t len = strcspn(part, "\"");
        if (len >= sizeof piece) len = sizeof piece - 1;
        while (len > 0 && ((unsigned char)part[len] & 0xc0) == 0x80) len--; /* no character in two */
        memcpy(piece, part, len);
        piece[len] = '\0';
        ctl_put_safe(piece, out);
        part += len;
        if (*part == '"') {
            fputs("\"\"", out);
            part++;
        }
    }
    if (quoted) fputc('"', out);
}

/* Columns of CSV. in: NULL for members of the record itself, else a list of which each has the member;
 * different values are joined by blanks. */
static const struct {
    const char *title, *in, *member;
} columns[] = {
    {"time", NULL, "time"},
    {"seq", NULL, "seq"},
    {"kind", NULL, "kind"},
    {"instance", NULL, "instance"},
    {"request_id", NULL, "request_id"},
    {"principal", NULL, "principal"},
    {"principal_source", NULL, "principal_source"},
    {"peer", NULL, "peer"},
    {"service", NULL, "service"},
    {"operation", NULL, "operation"},
    {"class", NULL, "class"},
    {"actions", "access", "action"},
    {"key_ids", "access", "key_id"},
    {"keys_named", "access", "key_named"},
    {"key_versions", "access", "key_version"},
    {"decisions", "access", "decision"},
    {"outcome", NULL, "outcome"},
    {"item_outcomes", "items", "outcome"},
    {"detail", NULL, "detail"},
    {"stage", NULL, "stage"},
    {"latency_us", NULL, "latency_us"},
    {"client", NULL, "client"},
    {"correlation_id", NULL, "correlation_id"},
    {"count", NULL, "count"},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* "" for what is neither text nor number. */
static const char *cell_of(const json_t *value, char number[NUMBER_BYTES])
{
    if (json_is_string(value)) return json_string_value(value);
    snprintf(number, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return json_is_integer(value) ? number : "";
}

static bool is_among(const json_t *list, size_t count, const char *member, const json_t *value)
{
    for (size_t i = 0; i < count; i++)
        if (json_equal(json_object_get(json_array_get(list, i), member), value)) return true;
    return false;
}

static void put_list(const json_t *list, const char *member, FILE *out)
{
    KMS_OWN_BUF text = {0};
    size_t i;
    json_t *item;
    char number[NUMBER_BYTES];
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const json_t *value = json_object_get(item, member);
        if (value == NULL || is_among(list, i, member, value)) continue;
        const char *blank = text.len > 0 ? " " : "";
        if (kms_failed(kms_buf_print(&text, "%s%s", blank, cell_of(value, number)))) return;
    }
    if (text.len > 0) ctl_csv_cell((const char *)text.data, out);
}

static void put_csv(const json_t *record, FILE *out)
{
    char number[NUMBER_BYTES];
    for (size_t i = 0; i < COLUMNS; i++) {
        if (i > 0) fputc(',', out);
        if (columns[i].in != NULL)
            put_list(json_object_get(record, columns[i].in), columns[i].member, out);
        else
            ctl_csv_cell(cell_of(json_object_get(record, columns[i].member), number), out);
    }
    fputs("\r\n", out);
}

void ctl_record_head(enum ctl_record_form form, FILE *out)
{
    if (form != CTL_RECORD_CSV) return;
    for (size_t i = 0; i < COLUMNS; i++) fprintf(out, "%s%s", i > 0 ? "," : "", columns[i].title);
    fputs("\r\n", out);
}

/* What kmsd wrote has none, as it escapes them; what somebody else wrote must not move a terminal. */
static bool has_control(struct kms_bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = line.ptr[i];
        bool c1 = c < 0xa0 && i > 0 && line.ptr[i - 1] == 0xc2; /* U+0080 to U+009F */
        if (c < 0x20 || c == 0x7f || c1) return true;
    }
    return false;
}

static void put_line(struct kms_bytes line, FILE *out)
{
    KMS_OWN_BUF text = {0};
    if (!has_control(line))
        fwrite(line.ptr, 1, line.len, out);
    else if (!kms_failed(kms_buf_print(&text, "%.*s", (int)line.len, (const char *)line.ptr)))
        ctl_put_safe((const char *)text.data, out);
    fputc('\n', out);
}

void ctl_record_put(enum ctl_record_form form, struct kms_bytes line, FILE *out)
{
    json_t *record = form != CTL_RECORD_JSON ? json_loadb((const char *)line.ptr, line.len, 0, NULL) : NULL;
    if (record == NULL) { /* as it is in the file */
        put_line(line, out);
    } else if (form == CTL_RECORD_CSV) {
        put_csv(record, out);
    } else {
        put_table(record, out);
    }
    json_decref(record);
}
