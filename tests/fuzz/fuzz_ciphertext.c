/* Fuzzes what decrypt reads first: the text form, the header, and an encryption context cut out of the input.
 */
#include <stdlib.h>
#include <string.h>

#include "base/ciphertext.h"
#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void header(struct kms_bytes input)
{
    struct kms_ciphertext_header read;
    struct kms_bytes sealed;
    struct kms_why why;
    uint8_t again[KMS_CIPHERTEXT_HEADER_BYTES];
    if (kms_failed(kms_ciphertext_parse(input, &read, &sealed, &why))) return;
    kms_ciphertext_header_put(&read, again);
    if (memcmp(again, input.ptr, sizeof again) != 0 || sealed.ptr + sealed.len != input.ptr + input.len)
        abort();
}

static void text_form(struct kms_bytes input)
{
    KMS_OWN_BUF text = {0}, back = {0}, loose = {0};
    struct kms_why why;
    if (!kms_failed(kms_ciphertext_from_text(input, &loose, &why))) header(kms_buf_view(&loose));
    if (input.len == 0 || input.len > KMS_CIPHERTEXT_BYTES) return;
    if (kms_failed(kms_ciphertext_to_text(input, &text))) abort();
    if (kms_failed(kms_ciphertext_from_text(kms_buf_view(&text), &back, &why))) abort();
    if (!kms_bytes_equal(input, kms_buf_view(&back))) abort();
}

/* One byte says how long a name or value is. Canonical form does not depend on the order that pairs came in.
 */
static void context(struct kms_bytes input)
{
    struct kms_context_pair pairs[KMS_CONTEXT_PAIRS_MAX + 1], reversed[KMS_CONTEXT_PAIRS_MAX + 1];
    struct kms_reader r = kms_reader_over(input);
    size_t count = 0;
    for (; count < KMS_CONTEXT_PAIRS_MAX + 1 && !r.short_; count++) {
        pairs[count].name = kms_get_view(&r, kms_get_u8(&r));
        pairs[count].value = kms_get_view(&r, kms_get_u8(&r));
    }
    if (r.short_) count--; /* the last one was not all there */
    for (size_t i = 0; i < count; i++) reversed[i] = pairs[count - 1 - i];
    KMS_OWN_BUF one = {0}, other = {0};
    struct kms_why why;
    kms_err err = kms_context_canonical(pairs, count, &one, &why);
    if (kms_context_canonical(reversed, count, &other, &why).code != err.code) abort();
    if (!kms_bytes_equal(kms_buf_view(&one), kms_buf_view(&other)) || one.len > KMS_CONTEXT_BYTES) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kms_bytes input = kms_bytes_of(data, len);
    header(input);
    text_form(input);
    context(input);
    return 0;
}
