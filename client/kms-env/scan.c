/* The steps that every dialect takes: lines, blanks, names, comments, and what is added to the document. */
#include "client/kms-env/scan.h"

#include <stdlib.h>
#include <string.h>

static const char header_word[] = "#kms-env";

void scan_step(struct scan *s)
{
    if (s->text[s->at++] != '\n') return;
    s->line++;
    s->line_start = s->at;
}

void scan_blanks(struct scan *s)
{
    while (scan_blank(scan_peek(s))) s->at++;
}

void scan_end_of_line(struct scan *s)
{
    while (scan_more(s) && s->text[s->at] != '\n') s->at++;
}

struct scan_mark scan_mark(const struct scan *s)
{
    return (struct scan_mark){.at = s->at, .line_start = s->line_start, .line = s->line};
}

kms_err scan_refuse_at(const struct scan *s, struct scan_mark mark, const char *what)
{
    kms_why_set(s->why, "line %u, column %zu: %s", mark.line, mark.at - mark.line_start + 1, what);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err scan_refuse(const struct scan *s, const char *what)
{
    return scan_refuse_at(s, scan_mark(s), what);
}

static bool in(int c, int first, int last)
{
    return c >= first && c <= last;
}
static bool letter(int c)
{
    return in(c, 'A', 'Z') || in(c, 'a', 'z');
}
static bool name_part(int c)
{
    return letter(c) || in(c, '0', '9') || c == '_';
}

bool kms_dotenv_name_valid(struct kms_bytes name)
{
    if (name.len == 0 || in(name.ptr[0], '0', '9')) return false;
    for (size_t i = 0; i < name.len; i++)
        if (!name_part(name.ptr[i])) return false;
    return true;
}

bool kms_dotenv_app_valid(struct kms_bytes app)
{
    if (app.len == 0 || app.len > KMS_DOTENV_APP_BYTES) return false;
    for (size_t i = 0; i < app.len; i++)
        if (!name_part(app.ptr[i]) && app.ptr[i] != '.' && app.ptr[i] != '/' && app.ptr[i] != '-')
            return false;
    return true;
}

bool kms_dotenv_key_valid(struct kms_bytes key)
{
    if (key.len == 0 || key.len > KMS_DOTENV_KEY_BYTES) return false;
    for (size_t i = 0; i < key.len; i++)
        if (!in(key.ptr[i], '!', '~')) return false;
    return true;
}

kms_err scan_name(struct scan *s, struct kms_bytes *ret_name)
{
    size_t from = s->at;
    if (in(scan_peek(s), '0', '9')) return scan_refuse(s, "a name begins with a letter or _");
    while (name_part(scan_peek(s))) s->at++;
    if (s->at == from) return scan_refuse(s, "a name was expected: letters, digits and _");
    *ret_name = scan_from(s, from);
    return KMS_OK;
}

void scan_put(struct scan *s, uint8_t c)
{
    s->document->values[s->document->values_len++] = c;
}

kms_err scan_add(struct scan *s, struct kms_dotenv_entry entry, size_t start)
{
    kms_dotenv *document = s->document;
    if (document->count == KMS_DOTENV_ENTRIES) {
        kms_why_set(s->why, "line %u: more than %d variables: split the file", entry.line,
                    KMS_DOTENV_ENTRIES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    if (document->count == document->cap) {
        size_t cap = document->cap == 0 ? 32 : 2 * document->cap;
        struct kms_dotenv_entry *entries = reallocarray(document->entries, cap, sizeof *entries);
        if (entries == NULL) return KMS_FAIL(NO_MEMORY);
        document->entries = entries;
        document->cap = cap;
    }
    if (entry.assigned) entry.value = kms_bytes_of(document->values + start, document->values_len - start);
    document->entries[document->count++] = entry;
    return KMS_OK;
}

static bool take_word(struct kms_bytes word, const char *label, struct kms_bytes *value)
{
    size_t len = strlen(label);
    if (word.len < len || memcmp(word.ptr, label, len) != 0) return false;
    *value = kms_bytes_of(word.ptr + len, word.len - len);
    return true;
}

/* Words that this release does not know are left for a later one. */
static kms_err read_header(struct scan *s, size_t line_end)
{
    struct kms_dotenv_header header = {.line = kms_bytes_of(s->text + s->at, line_end - s->at)};
    if (s->document->header.line.len > 0) return scan_refuse(s, "a second #kms-env line");
    s->at += strlen(header_word);
    while (s->at < line_end) {
        scan_blanks(s);
        size_t from = s->at;
        while (s->at < line_end && !scan_blank(s->text[s->at])) s->at++;
        struct kms_bytes word = scan_from(s, from), value;
        struct scan_mark mark = {.at = from, .line_start = s->line_start, .line = s->line};
        if (take_word(word, "app=", &value)) {
            if (!kms_dotenv_app_valid(value))
                return scan_refuse_at(s, mark, "not the name of an application");
            header.app = value;
        } else if (take_word(word, "key=", &value)) {
            if (!kms_dotenv_key_valid(value)) return scan_refuse_at(s, mark, "not the name of a key");
            header.key = value;
        }
    }
    s->document->header = header;
    return KMS_OK;
}

kms_err scan_comment(struct scan *s)
{
    const size_t len = strlen(header_word);
    size_t line_end = s->at;
    while (line_end < s->end && s->text[line_end] != '\n') line_end++;
    size_t after = line_end;
    while (line_end > s->at && scan_blank(s->text[line_end - 1])) line_end--;
    bool header = s->at == s->line_start && line_end - s->at > len &&
                  memcmp(s->text + s->at, header_word, len) == 0 && scan_blank(s->text[s->at + len]);
    if (header) KMS_TRY(read_header(s, line_end));
    s->at = after;
    return KMS_OK;
}
