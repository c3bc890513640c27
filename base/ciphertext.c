/* The bytes of proto/FORMAT.md. */
#include "base/ciphertext.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/wire.h"

static const uint8_t magic[3] = {'K', 'M', 'S'};

/* What each algorithm adds to the plaintext, bytes; 0: no such algorithm. */
static const size_t overhead[] = {
    [KMS_ALG_AES_256_GCM] = 12 + 16, [KMS_ALG_AES_256_GCM_DERIVED] = 16 + 12 + 16};

void kms_ciphertext_header_put(const struct kms_ciphertext_header *header,
                               uint8_t to[KMS_CIPHERTEXT_HEADER_BYTES])
{
    struct kms_writer w = kms_writer_over(to, KMS_CIPHERTEXT_HEADER_BYTES);
    kms_put_raw(&w, magic, sizeof magic);
    kms_put_u8(&w, KMS_CIPHERTEXT_VERSION);
    kms_put_u8(&w, header->algorithm);
    kms_put_raw(&w, header->key_id.bytes, sizeof header->key_id.bytes);
    kms_put_u32(&w, header->key_version);
}

static kms_err invalid(struct kms_why *why, const char *cause)
{
    kms_why_set(why, "ciphertext: %s", cause);
    return KMS_FAIL(INVALID_CIPHERTEXT);
}

kms_err kms_ciphertext_parse(struct kms_bytes blob, struct kms_ciphertext_header *ret_header,
                             struct kms_bytes *ret_sealed, struct kms_why *why)
{
    struct kms_reader r = kms_reader_over(blob);
    uint8_t start[sizeof magic];
    struct kms_ciphertext_header header;
    kms_get_raw(&r, start, sizeof start);
    uint8_t version = kms_get_u8(&r);
    header.algorithm = kms_get_u8(&r);
    kms_get_raw(&r, header.key_id.bytes, sizeof header.key_id.bytes);
    header.key_version = kms_get_u32(&r);
    /* What was read before the input ended is judged first: foreign bytes are foreign however few they are.
     */
    if (blob.len >= sizeof magic && memcmp(start, magic, sizeof magic) != 0)
        return invalid(why, "not made by this service");
    if (r.short_) return invalid(why, "shorter than its header of 25 bytes");
    if (version != KMS_CIPHERTEXT_VERSION)
        return invalid(why, "its format is newer than this release knows: upgrade");
    size_t known = sizeof overhead / sizeof overhead[0];
    if (header.algorithm >= known || overhead[header.algorithm] == 0)
        return invalid(why, "unknown algorithm");
    if (header.key_version == 0) return invalid(why, "key version 0");
    size_t len = (size_t)(r.end - r.at), added = overhead[header.algorithm];
    if (len < added) return invalid(why, "too short for its nonce and tag");
    if (len - added > KMS_PLAINTEXT_BYTES) return invalid(why, "longer than any this service makes");
    *ret_header = header;
    *ret_sealed = kms_bytes_of(r.at, len);
    return KMS_OK;
}

bool kms_ciphertext_is_text(struct kms_bytes text)
{
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    return text.len >= prefix && memcmp(text.ptr, KMS_CIPHERTEXT_TEXT_PREFIX, prefix) == 0;
}

kms_err kms_ciphertext_to_text(struct kms_bytes blob, kms_buf *text)
{
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    char *whole = malloc(prefix + kms_base64_len(blob.len) + 1);
    if (whole == NULL) return KMS_FAIL(NO_MEMORY);
    memcpy(whole, KMS_CIPHERTEXT_TEXT_PREFIX, prefix);
    kms_base64(blob, whole + prefix);
    kms_err err = kms_buf_append(text, whole, prefix + kms_base64_len(blob.len));
    free(whole);
    return err;
}

kms_err kms_ciphertext_from_text(struct kms_bytes text, kms_buf *blob, struct kms_why *why)
{
    const size_t prefix = strlen(KMS_CIPHERTEXT_TEXT_PREFIX);
    if (!kms_ciphertext_is_text(text))
        return invalid(why, "text does not begin with " KMS_CIPHERTEXT_TEXT_PREFIX);
    struct kms_bytes coded = kms_bytes_of(text.ptr + prefix, text.len - prefix);
    if (coded.len > kms_base64_len(KMS_CIPHERTEXT_BYTES))
        return invalid(why, "longer than any this service makes");
    uint8_t *data = malloc(coded.len / 4 * 3 + 1);
    size_t len;
    if (data == NULL) return KMS_FAIL(NO_MEMORY);
    kms_err err = kms_unbase64(coded, data, &len)
                      ? kms_buf_append(blob, data, len)
                      : invalid(why, "not standard base64 with padding after " KMS_CIPHERTEXT_TEXT_PREFIX);
    free(data);
    return err;
}

static int by_name(const struct kms_context_pair *a, const struct kms_context_pair *b)
{
    size_t common = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = memcmp(a->name.ptr, b->name.ptr, common);
    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* Insertion sort: at most 64 pairs, most often in order already, and qsort would allocate. */
static void sort(struct kms_context_pair *pairs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct kms_context_pair moving = pairs[i];
        size_t to = i;
        for (; to > 0 && by_name(&pairs[to - 1], &moving) > 0; to--) pairs[to] = pairs[to - 1];
        pairs[to] = moving;
    }
}

static kms_err pair_refused(struct kms_why *why, const struct kms_context_pair *pair, size_t index,
                            const char *cause)
{
    char name[48];
    size_t len = pair->name.len < sizeof name - 1 ? pair->name.len : sizeof name - 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = pair->name.ptr[i];
        name[i] = (char)(c >= ' ' && c < 127 ? c : '?'); /* may be anything, and goes into messages */
    }
    name[len] = '\0';
    kms_why_set(why, "encryption context, pair %zu ('%s'): %s", index + 1, name, cause);
    return KMS_FAIL(INVALID_ARGUMENT);
}

static kms_err check_pairs(const struct kms_context_pair *pairs, size_t count, struct kms_why *why)
{
    size_t total = 4;
    for (size_t i = 0; i < count; i++) {
        const struct kms_context_pair *p = &pairs[i];
        if (p->name.len == 0) return pair_refused(why, p, i, "the name is empty");
        if (p->name.len > KMS_CONTEXT_BYTES || p->value.len > KMS_CONTEXT_BYTES)
            return pair_refused(why, p, i, "longer than 8192 bytes");
        if (!kms_utf8_valid(p->name)) return pair_refused(why, p, i, "the name is not UTF-8, or holds NUL");
        if (!kms_utf8_valid(p->value)) return pair_refused(why, p, i, "the value is not UTF-8, or holds NUL");
        total += 4 + p->name.len + 4 + p->value.len;
    }
    if (total > KMS_CONTEXT_BYTES) {
        kms_why_set(why, "encryption context: %zu bytes in canonical form, at most %d are allowed", total,
                    KMS_CONTEXT_BYTES);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    return KMS_OK;
}

kms_err kms_context_canonical(struct kms_context_pair *pairs, size_t count, kms_buf *out, struct kms_why *why)
{
    if (count > KMS_CONTEXT_PAIRS_MAX) {
        kms_why_set(why, "encryption context: %zu pairs, at most %d are allowed", count,
                    KMS_CONTEXT_PAIRS_MAX);
        return KMS_FAIL(INVALID_ARGUMENT);
    }
    KMS_TRY(check_pairs(pairs, count, why));
    sort(pairs, count);
    uint8_t canonical[KMS_CONTEXT_BYTES];
    struct kms_writer w = kms_writer_over(canonical, sizeof canonical);
    kms_put_u32(&w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && by_name(&pairs[i - 1], &pairs[i]) == 0)
            return pair_refused(why, &pairs[i], i, "the name is there twice");
        kms_put_blob(&w, pairs[i].name);
        kms_put_blob(&w, pairs[i].value);
    }
    if (w.overflow) return KMS_FAIL(INTERNAL); /* the sum above was wrong */
    return kms_buf_append(out, canonical, (size_t)(w.at - canonical));
}
