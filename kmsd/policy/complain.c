/* Shows untrusted text safely and guesses what was meant by it. */
#include "kmsd/policy/complain.h"

#include <stdio.h>

enum { SHORT_BYTES = 48, NAME_MOST_BYTES = 63 };

/* Bytes of a printable ASCII or Latin-1 character at the front, 0 when it is none. */
static size_t printable_len(const uint8_t *text, size_t left)
{
    if (text[0] >= 0x20 && text[0] < 0x7f) return 1;
    if (left < 2 || (text[1] & 0xc0) != 0x80) return 0;
    return (text[0] == 0xc2 && text[1] >= 0xa0) || text[0] == 0xc3 ? 2 : 0;
}

bool kms_text_printable(struct kms_bytes text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = printable_len(text.ptr + at, text.len - at);
        if (len == 0) return false;
        at += len;
    }
    return true;
}

static struct kms_shown show(struct kms_bytes text, size_t most)
{
    struct kms_shown shown = {""};
    size_t used = 0, at = 0;
    while (at < text.len) {
        size_t len = printable_len(text.ptr + at, text.len - at);
        bool last = at + (len == 0 ? 1 : len) == text.len;
        if (used + 2 + (last ? 0 : 3) > most - 1) {
            kms_copy(shown.text + used, "...", 3);
            break;
        }
        if (len == 0) shown.text[used++] = '?';
        kms_copy(shown.text + used, text.ptr + at, len);
        used += len;
        at += len == 0 ? 1 : len;
    }
    return shown;
}

struct kms_shown kms_show(struct kms_bytes text)
{
    return show(text, KMS_SHOWN_BYTES);
}

struct kms_shown kms_show_short(struct kms_bytes text)
{
    return show(text, SHORT_BYTES);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, letters compared without case; both at most NAME_MOST_BYTES long. */
static size_t distance(struct kms_bytes a, struct kms_bytes b)
{
    size_t row[NAME_MOST_BYTES + 1];
    for (size_t j = 0; j <= b.len; j++) row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = (a.ptr[i - 1] | 0x20) == (b.ptr[j - 1] | 0x20);
            size_t kept = diagonal + (same ? 0 : 1);
            diagonal = row[j];
            row[j] = least(kept, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.len];
}

struct kms_shown kms_similar(struct kms_bytes text, const char *const *names, size_t count)
{
    struct kms_shown shown = {""};
    const char *best[2] = {NULL, NULL};
    size_t near = text.len / 4 + 1, first = near + 1, second = near + 1;
    if (text.len == 0 || text.len > NAME_MOST_BYTES) return shown;
    for (size_t i = 0; i < count; i++) {
        struct kms_bytes name = kms_bytes_text(names[i]);
        size_t apart = name.len > NAME_MOST_BYTES ? SIZE_MAX : distance(text, name);
        if (apart < first) {
            second = first;
            best[1] = best[0];
            first = apart;
            best[0] = names[i];
        } else if (apart < second) {
            second = apart;
            best[1] = names[i];
        }
    }
    if (best[0] == NULL) return shown;
    snprintf(shown.text, sizeof shown.text, ", did you mean %s%s%s?", best[0], best[1] == NULL ? "" : " or ",
             best[1] == NULL ? "" : best[1]);
    return shown;
}

struct kms_shown kms_similar_or(struct kms_bytes text, const char *const *names, size_t count,
                                const char *otherwise)
{
    struct kms_shown shown = kms_similar(text, names, count);
    if (shown.text[0] == '\0') snprintf(shown.text, sizeof shown.text, "%s", otherwise);
    return shown;
}
