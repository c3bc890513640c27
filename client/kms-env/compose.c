/* The dialect of Docker Compose, without interpolation. */
#include "client/kms-env/scan.h"

#include <string.h>

static bool digit8(int c)
{
    return c >= '0' && c <= '7';
}

/* Behind a backslash in "...": what Go's strconv knows, as Compose decodes it. Anything else keeps its
 * backslash. */
static kms_err escape(struct scan *s)
{
    static const char letters[] = "abfnrtv\"\\$", meanings[] = "\a\b\f\n\r\t\v\"\\$";
    struct scan_mark backslash = scan_mark(s);
    s->at++;
    int c = scan_peek(s);
    const char *known = c > 0 ? strchr(letters, c) : NULL;
    if (c == '0') {
        unsigned code = 0;
        for (int digits = 0; digits < 4 && digit8(scan_peek(s)); digits++)
            code = code * 8 + (unsigned)(s->text[s->at++] - '0');
        if (code == 0 || code > 127) return scan_refuse_at(s, backslash, "an octal escape outside 1 to 0177");
        scan_put(s, (uint8_t)code);
    } else if (known != NULL) {
        scan_put(s, (uint8_t)meanings[known - letters]);
        s->at++;
    } else {
        scan_put(s, '\\'); /* the byte behind it is read next, as it is */
    }
    return KMS_OK;
}

/* '...' or "...", over lines; a line inside ends with \n however the file ends its lines. */
static kms_err quoted(struct scan *s)
{
    struct scan_mark open = scan_mark(s);
    const int quote = scan_peek(s);
    s->at++;
    while (scan_more(s) && scan_peek(s) != quote) {
        bool line_end = s->text[s->at] == '\r' && s->at + 1 < s->end && s->text[s->at + 1] == '\n';
        if (quote == '"' && s->text[s->at] == '\\') {
            KMS_TRY(escape(s));
        } else {
            if (!line_end) scan_put(s, s->text[s->at]);
            scan_step(s);
        }
    }
    if (!scan_more(s)) return scan_refuse_at(s, open, "this quote is not closed");
    s->at++;
    return KMS_OK;
}

/* From behind '=' and blanks (the last of them right before at, if any) to the end of the line or ` #`. */
static struct kms_bytes bare(struct scan *s)
{
    size_t from = s->at;
    while (scan_more(s) && scan_peek(s) != '\n' && !(scan_peek(s) == '#' && s->text[s->at - 1] == ' '))
        s->at++;
    size_t to = s->at;
    while (to > from && scan_blank(s->text[to - 1])) to--;
    for (size_t i = from; i < to; i++) scan_put(s, s->text[i]);
    return kms_bytes_of(s->text + from, to - from);
}

/* `export` is a word only when a name follows it. */
static void skip_export(struct scan *s)
{
    static const char word[] = "export";
    size_t at = s->at + strlen(word);
    if (s->end - s->at <= strlen(word) || memcmp(s->text + s->at, word, strlen(word)) != 0) return;
    if (!scan_blank(s->text[at])) return;
    while (at < s->end && scan_blank(s->text[at])) at++;
    if (at < s->end && kms_dotenv_name_valid(kms_bytes_of(s->text + at, 1))) s->at = at;
}

static kms_err value(struct scan *s, struct kms_dotenv_entry *entry)
{
    s->at++; /* '=' */
    entry->assigned = true;
    scan_blanks(s);
    size_t from = s->at;
    if (scan_peek(s) != '"' && scan_peek(s) != '\'') {
        entry->source = bare(s);
        return KMS_OK;
    }
    KMS_TRY(quoted(s));
    entry->source = scan_from(s, from);
    scan_blanks(s);
    if (scan_more(s) && scan_peek(s) != '\n' && scan_peek(s) != '#')
        return scan_refuse(s, "text behind the closing quote");
    return KMS_OK;
}

static kms_err assignment(struct scan *s)
{
    skip_export(s);
    struct kms_dotenv_entry entry = {.line = s->line};
    size_t start = s->document->values_len;
    KMS_TRY(scan_name(s, &entry.name));
    scan_blanks(s);
    int c = scan_peek(s);
    if (c == '=')
        KMS_TRY(value(s, &entry));
    else if (c != -1 && c != '\n' && c != '#')
        return scan_refuse(s, "= was expected");
    return scan_add(s, entry, start);
}

kms_err scan_compose(struct scan *s)
{
    scan_blanks(s);
    int c = scan_peek(s);
    if (c != -1 && c != '\n' && c != '#') KMS_TRY(assignment(s));
    if (scan_peek(s) == '#') KMS_TRY(scan_comment(s));
    if (scan_more(s)) scan_step(s);
    return KMS_OK;
}
