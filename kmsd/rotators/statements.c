/* Values are put between quotes that the statement brings, so none may hold a character that means
 * something there. */
#include "kmsd/rotators/statements.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

/* Letters, digits, and what names, verifiers and times are made of: no quote, no backslash, no
 * brace, no comment. */
static bool is_harmless(const char *text)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:+/=$ ";
    return text[0] != '\0' && text[strspn(text, signs)] == '\0' && strstr(text, "$$") == NULL &&
           strstr(text, "--") == NULL;
}

/* The value of the place that begins at at, and where the place ends; NULL: none begins here. */
static const char *place_at(const uint8_t *at, const uint8_t *end, const struct kms_statement_values *v,
                            const uint8_t **ret_end)
{
    const struct {
        const char *place, *value;
    } places[] = {{"{{name}}", v->name},
                  {"{{username}}", v->name},
                  {"{{password}}", v->password},
                  {"{{expiration}}", v->expiration}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        size_t len = strlen(places[i].place);
        if ((size_t)(end - at) < len || memcmp(at, places[i].place, len) != 0) continue;
        *ret_end = at + len;
        return places[i].value;
    }
    return NULL;
}

/* The bytes that it makes; to NULL: only how many. */
static size_t fill(struct kms_bytes statement, const struct kms_statement_values *v, uint8_t *to)
{
    size_t len = 0;
    const uint8_t *end = statement.ptr + statement.len;
    for (const uint8_t *at = statement.ptr, *next; at < end; at = next) {
        const char *value = place_at(at, end, v, &next);
        struct kms_bytes part = value != NULL ? kms_bytes_text(value) : kms_bytes_of(at, 1);
        if (value == NULL) next = at + 1;
        if (to != NULL) kms_copy(to + len, part.ptr, part.len);
        len += part.len;
    }
    return len;
}

static kms_err refuse(struct kms_why *why, const char *what, const char *cause)
{
    kms_why_set(why, "%s: %s", what, cause);
    return KMS_FAIL(INVALID_ARGUMENT);
}

kms_err kms_statements_check(const struct kms_statements *statements, const char *what, bool names,
                             struct kms_why *why)
{
    static const struct kms_statement_values none = {"", "", ""};
    static const struct kms_statement_values marked = {"x", "", ""};
    bool named = false;
    if (statements->count > KMS_STATEMENTS_MAX) return refuse(why, what, "more than 32");
    for (size_t i = 0; i < statements->count; i++) {
        struct kms_bytes s = statements->items[i];
        if (s.len == 0) return refuse(why, what, "one is empty");
        if (s.len > KMS_STATEMENT_BYTES_MAX) return refuse(why, what, "one is longer than 16384 bytes");
        if (!kms_utf8_valid(s)) return refuse(why, what, "one is not UTF-8, or holds NUL");
        named = named || fill(s, &marked, NULL) != fill(s, &none, NULL);
    }
    return names && !named ? refuse(why, what, "none of them names {{name}} or {{username}}") : KMS_OK;
}

kms_err kms_statement_fill(struct kms_bytes statement, const struct kms_statement_values *values,
                           kms_secret **ret_sql)
{
    if (!is_harmless(values->name) || !is_harmless(values->password) || !is_harmless(values->expiration))
        return KMS_FAIL(INVALID_ARGUMENT);
    size_t len = fill(statement, values, NULL);
    KMS_TRY(kms_secret_new(len + 1, ret_sql));
    (void)fill(statement, values, kms_secret_data(*ret_sql));
    return KMS_OK; /* zeroed memory: it ends with NUL */
}

void kms_expiration_text(uint64_t us, char text[KMS_EXPIRATION_TEXT])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, KMS_EXPIRATION_TEXT, "%Y-%m-%d %H:%M:%S+0000", &tm);
}
