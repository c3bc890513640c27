/* Reads a whole file of variables: what is the same in every dialect. */
#include "client/kms-env/dotenv.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "client/kms-env/scan.h"

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* The longest sequence of UTF-8 has 4 bytes (RFC 3629); 0: none is well-formed here. */
static size_t sequence_len(const uint8_t *at, size_t left)
{
    for (size_t len = 1; len <= 4 && len <= left; len++)
        if (kms_utf8_valid(kms_bytes_of(at, len))) return len;
    return 0;
}

static kms_err check_bytes(struct scan s)
{
    if (s.end == 0) return KMS_OK;
    if (kms_utf8_valid(kms_bytes_of(s.text + s.at, s.end - s.at))) return KMS_OK;
    while (scan_more(&s)) {
        size_t len = sequence_len(s.text + s.at, s.end - s.at);
        if (len == 0) return scan_refuse(&s, scan_peek(&s) == 0 ? "a NUL byte" : "not valid UTF-8");
        while (len-- > 0) scan_step(&s);
    }
    return KMS_FAIL(INTERNAL); /* all of it was well-formed, so the question above was answered wrongly */
}

static int by_name_then_line(const void *left, const void *right)
{
    const struct kms_dotenv_entry *a = *(const struct kms_dotenv_entry *const *)left;
    const struct kms_dotenv_entry *b = *(const struct kms_dotenv_entry *const *)right;
    int order = memcmp(a->name.ptr, b->name.ptr, a->name.len < b->name.len ? a->name.len : b->name.len);
    if (order == 0) order = (a->name.len > b->name.len) - (a->name.len < b->name.len);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Which of two values was meant cannot be known, and the tools that read such files disagree. */
static kms_err check_doubles(const kms_dotenv *document, struct kms_why *why)
{
    if (document->count < 2) return KMS_OK;
    const struct kms_dotenv_entry **sorted = calloc(document->count, sizeof(void *)), *first = NULL,
                                  *again = NULL;
    if (sorted == NULL) return KMS_FAIL(NO_MEMORY);
    for (size_t i = 0; i < document->count; i++) sorted[i] = &document->entries[i];
    qsort(sorted, document->count, sizeof(void *), by_name_then_line);
    for (size_t i = 1; i < document->count; i++) {
        if (!kms_bytes_equal(sorted[i - 1]->name, sorted[i]->name)) continue;
        if (again != NULL && again->line < sorted[i]->line) continue;
        first = sorted[i - 1];
        again = sorted[i];
    }
    free(sorted);
    if (again == NULL) return KMS_OK;
    kms_why_set(why, "line %u: %.*s is set a second time, first on line %u", again->line,
                (int)again->name.len, (const char *)again->name.ptr, first->line);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err document_new(struct kms_bytes text, kms_dotenv **ret_document)
{
    KMS_OWN(kms_dotenv) document = calloc(1, sizeof *document);
    if (document == NULL) return KMS_FAIL(NO_MEMORY);
    document->text = text;
    if (text.len > 0) document->values = kms_locked_alloc(text.len);
    if (text.len > 0 && document->values == NULL) return KMS_FAIL(NO_MEMORY);
    *ret_document = KMS_GIVE(document);
    return KMS_OK;
}

kms_err kms_dotenv_parse(struct kms_bytes text, enum kms_dotenv_dialect dialect, kms_dotenv **ret_document,
                         struct kms_why *why)
{
    static kms_err (*const statement[])(struct scan *) = {[KMS_DOTENV_COMPOSE] = scan_compose,
                                                          [KMS_DOTENV_DOCKER] = scan_docker,
                                                          [KMS_DOTENV_SYSTEMD] = scan_systemd};
    if (text.len > KMS_DOTENV_BYTES) {
        kms_why_set(why, "longer than %d bytes: split it", KMS_DOTENV_BYTES);
        return KMS_FAIL(LIMIT_EXCEEDED);
    }
    KMS_OWN(kms_dotenv) document = NULL;
    KMS_TRY(document_new(text, &document));
    struct scan s = {.document = document, .text = text.ptr, .end = text.len, .line = 1, .why = why};
    KMS_TRY(check_bytes(s));
    if (text.len >= 3 && memcmp(text.ptr, byte_order_mark, 3) == 0) s.at = s.line_start = 3;
    while (scan_more(&s)) KMS_TRY(statement[dialect](&s));
    KMS_TRY(check_doubles(document, why));
    *ret_document = KMS_GIVE(document);
    return KMS_OK;
}

bool kms_dotenv_dialect_named(const char *name, enum kms_dotenv_dialect *ret_dialect)
{
    static const char *const names[] = {
        [KMS_DOTENV_COMPOSE] = "dotenv", [KMS_DOTENV_DOCKER] = "docker", [KMS_DOTENV_SYSTEMD] = "systemd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *ret_dialect = (enum kms_dotenv_dialect)i;
        return true;
    }
    return false;
}

void kms_dotenv_free(kms_dotenv *document)
{
    if (document == NULL) return;
    kms_locked_free(document->values, document->text.len);
    free(document->entries);
    free(document);
}

void kms_dotenv_drop(kms_dotenv **document)
{
    kms_dotenv_free(*document);
}

size_t kms_dotenv_count(const kms_dotenv *document)
{
    return document->count;
}

const struct kms_dotenv_entry *kms_dotenv_entry(const kms_dotenv *document, size_t index)
{
    return &document->entries[index];
}

const struct kms_dotenv_entry *kms_dotenv_find(const kms_dotenv *document, struct kms_bytes name)
{
    for (size_t i = 0; i < document->count; i++)
        if (kms_bytes_equal(document->entries[i].name, name)) return &document->entries[i];
    return NULL;
}

const struct kms_dotenv_header *kms_dotenv_header(const kms_dotenv *document)
{
    return &document->header;
}
