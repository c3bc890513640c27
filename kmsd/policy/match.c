/* Globs, ARNs and case. */
#include "kmsd/policy/match.h"

#include <string.h>

/* Bytes of the character at the front: a lead byte and what continues it (10xxxxxx). */
static size_t character_len(const uint8_t *text, size_t left)
{
    size_t len = 1;
    while (len < left && (text[len] & 0xc0) == 0x80) len++;
    return len;
}

/* Remembers the last '*' only: a later one never needs an earlier one to give back (greedy from the left). */
bool kms_pattern_match(struct kms_bytes pattern, struct kms_bytes text)
{
    size_t p = 0, t = 0, retry_p = SIZE_MAX, retry_t = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == KMS_ANY_RUN) {
            retry_p = ++p;
            retry_t = t;
        } else if (p < pattern.len && pattern.ptr[p] == KMS_ANY_ONE) {
            p++;
            t += character_len(text.ptr + t, text.len - t);
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (retry_p != SIZE_MAX) {
            retry_t += character_len(text.ptr + retry_t, text.len - retry_t);
            p = retry_p;
            t = retry_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == KMS_ANY_RUN) p++;
    return p == pattern.len;
}

bool kms_arn_split(struct kms_bytes arn, struct kms_bytes parts[KMS_ARN_PARTS])
{
    for (size_t i = 0; i < KMS_ARN_PARTS - 1; i++) {
        const uint8_t *colon = arn.len == 0 ? NULL : memchr(arn.ptr, ':', arn.len);
        if (colon == NULL) return false;
        parts[i] = kms_bytes_of(arn.ptr, (size_t)(colon - arn.ptr));
        arn = kms_bytes_of(colon + 1, arn.len - parts[i].len - 1);
    }
    parts[KMS_ARN_PARTS - 1] = arn;
    return true;
}

bool kms_arn_match(struct kms_bytes pattern, struct kms_bytes arn)
{
    struct kms_bytes wanted[KMS_ARN_PARTS], actual[KMS_ARN_PARTS];
    if (!kms_arn_split(pattern, wanted) || !kms_arn_split(arn, actual)) return false;
    for (size_t i = 0; i < KMS_ARN_PARTS; i++)
        if (!kms_pattern_match(wanted[i], actual[i])) return false;
    return true;
}

/* U+00C0..U+00DE are the capitals of U+00E0..U+00FE, all C3 xx in UTF-8, but for the signs D7 and F7. */
static uint8_t folded(uint8_t before, uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return (uint8_t)(c + ('a' - 'A'));
    if (before == 0xc3 && c >= 0x80 && c <= 0x9e && c != 0x97) return (uint8_t)(c + 0x20);
    return c;
}

bool kms_folded_equal(struct kms_bytes a, struct kms_bytes b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (folded(i > 0 ? a.ptr[i - 1] : 0, a.ptr[i]) != folded(i > 0 ? b.ptr[i - 1] : 0, b.ptr[i]))
            return false;
    return true;
}
