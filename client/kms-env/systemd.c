/*
 * The dialect of systemd's EnvironmentFile= (systemd.exec(5)). Stricter than systemd in one thing: a quote
 * that is not closed, and a line that is no assignment, are refused instead of guessed at or ignored.
 */
#include <string.h>

#include "client/kms-env/scan.h"

static bool newline(int c)
{
    return c == '\n' || c == '\r';
}
static bool blank(int c)
{
    return c == ' ' || c == '\t';
}

/* A backslash and what is behind it, outside of quotes: the byte itself; at the end of a line, nothing. */
static void bare_escape(struct scan *s)
{
    s->at++;
    if (scan_peek(s) == '\r' && s->at + 1 < s->end && s->text[s->at + 1] == '\n') s->at++;
    if (!scan_more(s)) return;
    if (!newline(scan_peek(s))) scan_put(s, s->text[s->at]);
    scan_step(s);
}

/* In "...": only these are escapes (systemd calls them SHELL_NEED_ESCAPE), and the end of a line goes away.
 */
static void quoted_escape(struct scan *s)
{
    s->at++;
    if (!scan_more(s)) return;
    uint8_t c = s->text[s->at];
    if (c != '\n' && strchr("\"\\`$", c) == NULL) scan_put(s, '\\');
    if (c != '\n') scan_put(s, c);
    scan_step(s);
}

static kms_err quoted(struct scan *s)
{
    struct scan_mark open = scan_mark(s);
    const int quote = scan_peek(s);
    s->at++;
    while (scan_more(s) && scan_peek(s) != quote) {
        if (quote == '"' && scan_peek(s) == '\\') {
            quoted_escape(s);
        } else {
            scan_put(s, s->text[s->at]);
            scan_step(s);
        }
    }
    if (!scan_more(s)) return scan_refuse_at(s, open, "this quote is not closed");
    s->at++;
    return KMS_OK;
}

/* Quoted pieces may follow each other; once a bare piece has begun, quotes are like any other byte. */
static kms_err value(struct scan *s, struct kms_dotenv_entry *entry)
{
    size_t keep = s->document->values_len, from = 0, to = 0; /* without trailing blanks */
    bool begun = false, is_bare = false;
    while (scan_more(s) && !newline(scan_peek(s))) {
        int c = scan_peek(s);
        size_t at = s->at;
        if (!is_bare && blank(c)) {
            s->at++;
            continue;
        }
        if (!begun) from = at;
        begun = true;
        bool quote = !is_bare && (c == '"' || c == '\'');
        is_bare = !quote;
        if (quote) {
            KMS_TRY(quoted(s));
        } else if (c == '\\') {
            bare_escape(s);
        } else {
            scan_put(s, s->text[s->at++]);
            if (blank(c)) continue;
        }
        keep = s->document->values_len;
        to = s->at;
    }
    s->document->values_len = keep;
    entry->source = begun ? kms_bytes_of(s->text + from, to - from) : scan_from(s, s->at);
    return KMS_OK;
}

static kms_err assignment(struct scan *s)
{
    struct kms_dotenv_entry entry = {.line = s->line};
    size_t start = s->document->values_len;
    KMS_TRY(scan_name(s, &entry.name));
    while (blank(scan_peek(s))) s->at++;
    if (!scan_more(s) || newline(scan_peek(s))) return KMS_OK; /* NAME alone sets nothing */
    if (scan_peek(s) != '=') return scan_refuse(s, "= was expected");
    s->at++;
    entry.assigned = true;
    KMS_TRY(value(s, &entry));
    return scan_add(s, entry, start);
}

/* A backslash at the end of a comment joins nothing (systemd 254 and later; earlier ones swallow the next
 * line). */
static kms_err comment(struct scan *s)
{
    if (scan_peek(s) == '#') return scan_comment(s);
    scan_end_of_line(s);
    return KMS_OK;
}

kms_err scan_systemd(struct scan *s)
{
    while (blank(scan_peek(s)) || scan_peek(s) == '\r') s->at++;
    int c = scan_peek(s);
    if (c == '#' || c == ';')
        KMS_TRY(comment(s));
    else if (c != -1 && c != '\n')
        KMS_TRY(assignment(s));
    if (scan_more(s) && newline(scan_peek(s))) scan_step(s);
    return KMS_OK;
}
