/* The deny list: lines "principal NAME", "serial HEX", "fingerprint SHA256HEX", "# comment". A line
 * that might deny nobody by mistake is an error. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "kmsd/authn/internal.h"

enum { FILE_BYTES = 4 * 1024 * 1024 };

enum kind { PRINCIPAL, SERIAL, FINGERPRINT };
struct entry {
    enum kind kind;
    char *value;
};

struct kms_deny_list {
    struct entry *entries; /* sorted by kind and value */
    size_t count, cap;
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->value, y->value);
}

void kms_deny_free(struct kms_deny_list *list)
{
    if (list == NULL) return;
    for (size_t i = 0; i < list->count; i++) free(list->entries[i].value);
    free(list->entries);
    free(list);
}

static kms_err add(struct kms_deny_list *list, enum kind kind, const char *value)
{
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 16 : 2 * list->cap;
        struct entry *entries = realloc(list->entries, cap * sizeof *entries);
        if (entries == NULL) return KMS_FAIL(NO_MEMORY);
        list->entries = entries;
        list->cap = cap;
    }
    char *copy = strdup(value);
    if (copy == NULL) return KMS_FAIL(NO_MEMORY);
    list->entries[list->count++] = (struct entry){kind, copy};
    return KMS_OK;
}

/* Serial numbers and fingerprints: lower case, without the colons that openssl prints between bytes. False:
 * not hex. */
static bool normalise_hex(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == ':') continue;
        if (!isxdigit((unsigned char)*from)) return false;
        *to++ = (char)tolower((unsigned char)*from);
    }
    *to = '\0';
    return to != text;
}

/* Tools print serial numbers with and without leading zeros. */
static const char *significant(const char *serial)
{
    while (serial[0] == '0' && serial[1] != '\0') serial++;
    return serial;
}

/* False: the value denies nobody. */
static bool normalise(enum kind kind, char *value)
{
    if (kind == PRINCIPAL) /* not a comment behind the name, which would be taken for a part of it */
        return value[0] != '\0' && strstr(value, " #") == NULL && strstr(value, "\t#") == NULL;
    return normalise_hex(value) && (kind != FINGERPRINT || strlen(value) == 2 * KMS_DIGEST_BYTES);
}

static char *strip(char *line)
{
    while (*line == ' ' || *line == '\t') line++;
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL) line[--len] = '\0';
    return line;
}

static kms_err add_line(struct kms_deny_list *list, char *line)
{
    static const struct {
        const char *word;
        enum kind kind;
    } kinds[] = {{"principal", PRINCIPAL}, {"serial", SERIAL}, {"fingerprint", FINGERPRINT}};
    line = strip(line);
    if (line[0] == '\0' || line[0] == '#') return KMS_OK;
    size_t word = strcspn(line, " \t");
    for (size_t i = 0; i < 3; i++) {
        if (strlen(kinds[i].word) != word || strncmp(line, kinds[i].word, word) != 0) continue;
        char *value = strip(line + word);
        if (!normalise(kinds[i].kind, value)) return KMS_FAIL(CONFIG_INVALID);
        return add(list, kinds[i].kind, kinds[i].kind == SERIAL ? significant(value) : value);
    }
    return KMS_FAIL(CONFIG_INVALID);
}

static kms_err parse(struct kms_deny_list *list, const char *path, kms_buf *text, struct kms_why *why)
{
    size_t number = 0;
    char *end = (char *)text->data + text->len;
    for (char *line = (char *)text->data, *next; line < end; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) next = end;
        *next = '\0';
        number++;
        kms_err err = strlen(line) == (size_t)(next - line) ? add_line(list, line) : KMS_FAIL(CONFIG_INVALID);
        if (!kms_failed(err)) continue;
        kms_why_set(why,
                    "%s:%zu: expected \"principal NAME\", \"serial HEX\" or \"fingerprint SHA256HEX\", "
                    "and nothing behind it",
                    path, number);
        return err;
    }
    return KMS_OK;
}

kms_err kms_deny_read(const char *path, struct kms_deny_list **ret_list, struct kms_why *why)
{
    struct kms_deny_list *list = calloc(1, sizeof *list);
    KMS_OWN_BUF text = {0};
    if (list == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = path[0] != '\0' ? kms_read_file(path, FILE_BYTES, &text, why) : KMS_OK;
    if (!kms_failed(err) && text.data != NULL) err = parse(list, path, &text, why);
    if (kms_failed(err)) {
        kms_deny_free(list);
        return kms_is(err, KMS_E_NO_MEMORY) ? err : KMS_FAIL(CONFIG_INVALID);
    }
    if (list->count > 0) qsort(list->entries, list->count, sizeof *list->entries, compare);
    *ret_list = list;
    return KMS_OK;
}

static bool listed(const struct kms_deny_list *list, enum kind kind, const char *value)
{
    const struct entry wanted = {kind, kms_lend(value)};
    return value[0] != '\0' && bsearch(&wanted, list->entries, list->count, sizeof wanted, compare) != NULL;
}

bool kms_deny_match(const struct kms_deny_list *list, const kms_identity *identity)
{
    if (list->count == 0) return false;
    return listed(list, PRINCIPAL, identity->principal) ||
           listed(list, SERIAL, significant(identity->serial)) ||
           listed(list, FINGERPRINT, identity->fingerprint);
}
